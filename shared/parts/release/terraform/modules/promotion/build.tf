# The two builds. Each deploys one environment as the deployment role that the foundation has made for it, and can
# become no other: staging's cannot reach production, and production's cannot reach staging.

locals {
  # environment -> the folder of its build's role, and the foundation's role that lets in what is in that folder
  deployments = {
    staging = {
      build_role_path = "/${var.project.prefix}/deploy-staging/"
      role_arn        = "arn:${local.partition}:iam::${local.account}:role/${var.project.prefix}-deployment-staging"
    }
    production = {
      build_role_path = "/${var.project.prefix}/deploy/"
      role_arn        = var.foundation.deployment_role_arn
    }
  }

  pipeline_arn = "arn:${local.partition}:codepipeline:${local.region}:${local.account}:${local.name}"
  project_arns = { # fixed names, so that the roles need not wait for the projects
    for environment in ["staging", "production"] :
    environment => "arn:${local.partition}:codebuild:${local.region}:${local.account}:project/${local.name}-${environment}"
  }
}

module "build" {
  source   = "../build-project"
  for_each = var.builds

  name                     = "${local.name}-${each.key}"
  description              = "${var.project.name}: ${each.value.description}"
  buildspec                = "buildspecs/${each.key}.yml"
  artifacts                = { bucket_arn = module.bucket.arn, prefix = local.artifacts_prefix }
  kms_key_arn              = local.kms_key_arn
  role_path                = local.deployments[each.key].build_role_path
  policy                   = data.aws_iam_policy_document.build[each.key].json
  permissions_boundary_arn = local.boundary
  log_retention_days       = var.foundation.log_retention_days
  timeout_minutes          = 60 # what is deployed takes minutes to be there, and may have to go back to what it was
}

data "aws_iam_policy_document" "build" {
  for_each = var.builds

  source_policy_documents = each.value.policy == null ? [] : [each.value.policy]

  statement {
    sid       = "Deploy"
    actions   = ["sts:AssumeRole"]
    resources = [local.deployments[each.key].role_arn]
  }

  # What is live, what was live before, and what the tests said.
  statement {
    sid       = "KeepRecordsAndReports"
    actions   = ["s3:GetObject", "s3:PutObject"]
    resources = [for folder in local.written_by_builds : "${module.bucket.arn}/${folder}*"]
  }

  statement {
    sid       = "ForgetWhatWasTakenDown" # the bucket keeps the versions, the history keeps the record
    actions   = ["s3:DeleteObject"]
    resources = [for environment in keys(local.project_arns) : "${module.bucket.arn}/deployments/${environment}/live.json"]
  }

  statement {
    sid       = "ListBucket" # without it a missing record answers "access denied"
    actions   = ["s3:ListBucket"]
    resources = [module.bucket.arn]
  }

  # Production's sees its own builds. Staging's sees everything that is under way: one question is asked once.
  statement {
    sid       = "SeeBuilds"
    actions   = ["codebuild:BatchGetBuilds", "codebuild:ListBuildsForProject"]
    resources = each.key == "staging" ? values(local.project_arns) : [local.project_arns[each.key]]
  }

  dynamic "statement" {
    for_each = each.key == "staging" ? [1] : []
    content {
      sid       = "SeeWhatElseRuns"
      actions   = ["codepipeline:GetPipelineExecution", "codepipeline:ListPipelineExecutions"]
      resources = [local.pipeline_arn]
    }
  }

  # Neither a model nor its way to production is approved by what deploys it, whatever its role is given later: a person does.
  statement {
    sid       = "NeverApprove" # resource *: this only denies
    effect    = "Deny"
    actions   = ["codepipeline:PutApprovalResult", "sagemaker:CreateModelPackage", "sagemaker:UpdateModelPackage"]
    resources = ["*"]
  }
}
