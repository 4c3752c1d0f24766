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
