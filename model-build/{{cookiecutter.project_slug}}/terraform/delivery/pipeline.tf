# CodePipeline: a new source archive -> the build. Training goes on in SageMaker after the build has ended.

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
        PollForSourceChanges = "false" # an event starts it (events.tf); left out, it would poll as well
      }
    }
  }

  stage {
    name = "Build"

    # First the image that training registers its model with (serving_image.tf), where the repository has one of its own.
    dynamic "action" {
      for_each = module.serving_image
      content {
        name            = "BuildServingImage"
        category        = "Build"
        owner           = "AWS"
        provider        = "CodeBuild"
        version         = "1"
        run_order       = 1
        input_artifacts = ["source"]

        configuration = {
          ProjectName = action.value.name
        }
      }
    }

    action {
      name            = "UpdateAndStartTraining"
      category        = "Build"
      owner           = "AWS"
      provider        = "CodeBuild"
      version         = "1"
      run_order       = local.lean ? 2 : null
      input_artifacts = ["source"]
      namespace       = "Build" # for the build's exported variables

      configuration = {
        ProjectName = module.build.name
      }
    }
  }
}

module "pipeline_role" {
  source = "../modules/pipeline-role"

  name                     = "${local.name}-pipeline"
  description              = "CodePipeline ${local.name}: fetches the source and starts the build"
  source_object            = merge(local.source, { kms_key_arn = local.foundation.kms_key_arn })
  artifacts                = { bucket_arn = module.bucket.arn, prefix = local.artifacts_prefix, kms_key_arn = local.kms_key_arn }
  build_arns               = concat([module.build.arn], module.serving_image[*].arn)
  permissions_boundary_arn = local.boundary
}
