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
        PollForSourceChanges = "false" # an event starts it; left out, it would poll as well
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

# The build: checks the configuration, brings the SageMaker pipeline up to date and starts it (buildspecs/build.yml).
module "build" {
  source = "../modules/build-project"

  name                     = "${local.name}-build"
  description              = "${local.project.name}: updates and starts the SageMaker pipeline"
  buildspec                = "buildspecs/build.yml"
  artifacts                = { bucket_arn = module.bucket.arn, prefix = local.artifacts_prefix }
  kms_key_arn              = local.kms_key_arn
  policy                   = data.aws_iam_policy_document.build.json
  permissions_boundary_arn = local.boundary
  log_retention_days       = local.foundation.log_retention_days
}

data "aws_iam_policy_document" "build" {
  source_policy_documents = [
    data.aws_iam_policy_document.never_approve.json,
    data.aws_iam_policy_document.configured_data.json,
  ]

  statement {
    sid       = "ListBucket"
    actions   = ["s3:GetBucketLocation", "s3:ListBucket"]
    resources = [module.bucket.arn]
  }

  statement {
    sid       = "UploadInputs" # their names are made of their content
    actions   = ["s3:AbortMultipartUpload", "s3:GetObject", "s3:PutObject"]
    resources = [for folder in local.written_by_builds : "${module.bucket.arn}/${folder}*"]
  }

  statement {
    sid       = "UpdateAndStartPipeline"
    actions   = ["sagemaker:AddTags", "sagemaker:CreatePipeline", "sagemaker:DescribePipeline", "sagemaker:StartPipelineExecution", "sagemaker:UpdatePipeline"]
    resources = [local.pipeline_arn]
  }

  statement {
    sid       = "SeeWhatIsLive" # which version training compares with is looked up once, when it starts
    actions   = ["sagemaker:DescribeModelPackage", "sagemaker:ListModelPackages"]
    resources = [local.registry.group_arn, local.registry.versions_arn]
  }

  statement {
    sid       = "RunPipelineAsItsRole"
    actions   = ["iam:PassRole"]
    resources = [local.execution_role_arn]
    condition {
      test     = "StringEquals"
      variable = "iam:PassedToService"
      values   = ["sagemaker.amazonaws.com"]
    }
  }
}

# When the pipeline starts, and what people hear of it.
module "events" {
  source = "../modules/events"

  name                     = local.name
  pipeline_arn             = aws_codepipeline.this.arn
  topic_arn                = local.topic
  source_object            = local.source
  failure                  = "a push did not get as far as training"
  permissions_boundary_arn = local.boundary
  schedule                 = lookup(local.model, "schedule", null)

  notices = {
    training-failed = {
      pattern = jsonencode({
        source      = ["aws.sagemaker"]
        detail-type = ["SageMaker Model Building Pipeline Execution Status Change"]
        detail      = { pipelineArn = [local.pipeline_arn], currentPipelineExecutionStatus = ["Failed"] }
      })
      values = { execution = "$.detail.pipelineExecutionArn" }
      text   = "${local.name}: training failed, or the model was not good enough. Which step, and why: aws sagemaker list-pipeline-execution-steps --region ${local.region} --pipeline-execution-arn <execution>"
    }
    approval-wanted = {
      pattern = jsonencode({
        source      = ["aws.sagemaker"]
        detail-type = ["SageMaker Model Package State Change"]
        detail = {
          ModelPackageGroupName = [local.name]
          ModelPackageStatus    = ["Completed"]
          ModelApprovalStatus   = ["PendingManualApproval"]
        }
      })
      values = { version = "$.detail.ModelPackageVersion", arn = "$.detail.ModelPackageArn" }
      text   = "${local.name}: version <version> waits for approval. To see it beside the live one, and to decide, in a clone of the repository: make compare, make approve, or make reject with a reason. Without one: aws sagemaker describe-model-package --region ${local.region} --model-package-name <arn>, and aws sagemaker update-model-package --region ${local.region} --model-approval-status Approved --model-package-arn <arn>"
    }
  }
}
