# CodePipeline: production gets the artifact that staging has made, whatever is pushed or approved meanwhile.

resource "aws_codepipeline" "this" {
  name          = local.name
  role_arn      = module.pipeline_role.arn
  pipeline_type = "V2"

  artifact_store {
    type     = "S3"
    location = module.bucket.name

    encryption_key {
      type = "KMS"
      id   = local.kms_key_arn
    }
  }

  stage {
    name = "Source"

    action {
      name             = "Source"
      category         = "Source"
      owner            = "AWS"
      provider         = "S3"
      version          = "1"
      output_artifacts = ["source"]

      configuration = {
        S3Bucket             = local.source.bucket
        S3ObjectKey          = local.source.key
        PollForSourceChanges = "false" # an event starts it; left out, it would poll as well
      }
    }
  }

  stage {
    name = "Staging"

    action {
      name             = "DeployAndTest"
      category         = "Build"
      owner            = "AWS"
      provider         = "CodeBuild"
      version          = "1"
      input_artifacts  = ["source"]
      output_artifacts = ["staged"]
      namespace        = "Staging" # for the build's exported variables

      configuration = {
        ProjectName          = module.build["staging"].name
        EnvironmentVariables = local.build_variables
      }
    }
  }

  stage {
    name = "Production"

    # Nothing new to promote: nobody is asked, and the execution ends well.
    before_entry {
      condition {
        result = "SKIP"

        rule {
          name = "SomethingToPromote"

          rule_type_id {
            category = "Rule"
            owner    = "AWS"
            provider = "VariableCheck"
            version  = "1"
          }

          configuration = {
            Variable = "#{Staging.PROMOTE}"
            Operator = "EQ"
            Value    = "yes"
          }
        }
      }
    }

    action {
      name      = "Approve"
      category  = "Approval"
      owner     = "AWS"
      provider  = "Manual"
      version   = "1"
      run_order = 1

      configuration = {
        NotificationArn    = local.topic
        CustomData         = "#{Staging.SUMMARY}"
        ExternalEntityLink = "#{Staging.REPORT_URL}"
      }
    }

    action {
      name            = "DeployAndTest"
      category        = "Build"
      owner           = "AWS"
      provider        = "CodeBuild"
      version         = "1"
      run_order       = 2
      input_artifacts = ["staged"]
      namespace       = "Production"

      configuration = {
        ProjectName          = module.build["production"].name
        EnvironmentVariables = local.build_variables
      }
    }
  }
}

locals {
  # what only an execution knows: reports and records are kept under its id
  build_variables = jsonencode([
    { name = "PIPELINE_EXECUTION_ID", value = "#{codepipeline.PipelineExecutionId}", type = "PLAINTEXT" },
  ])
}

module "pipeline_role" {
  source = "../pipeline-role"

  name                     = "${local.name}-pipeline"
  description              = "CodePipeline ${local.name}: fetches the source, starts the builds, asks for approval"
  source_object            = merge(local.source, { kms_key_arn = var.foundation.kms_key_arn })
  artifacts                = { bucket_arn = module.bucket.arn, prefix = local.artifacts_prefix, kms_key_arn = local.kms_key_arn }
  build_arns               = [for build in module.build : build.arn]
  approval_topic           = { arn = local.topic, kms_key_arn = var.foundation.kms_key_arn }
  permissions_boundary_arn = local.boundary
}
