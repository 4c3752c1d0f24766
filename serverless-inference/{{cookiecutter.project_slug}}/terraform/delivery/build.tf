# The two builds. Each deploys one environment as the deployment role that the foundation has made for it, and can
# become no other: staging's cannot reach production, and production's cannot reach staging.

locals {
  builds = {
    staging = {
      role_path   = "/${local.project.prefix}/deploy-staging/"
      policy      = data.aws_iam_policy_document.staging.json
      description = "finds the newest approved model, deploys it to staging and tests it"
    }
    production = {
      role_path   = "/${local.project.prefix}/deploy/"
      policy      = data.aws_iam_policy_document.production.json
      description = "deploys to production what staging has tested"
    }
  }

  # the foundation's roles; the first lets in builds below the first path, the second those below the second
  deployment_role_arns = {
    staging    = "arn:${local.partition}:iam::${local.account}:role/${local.project.prefix}-deployment-staging"
    production = local.foundation.deployment_role_arn
  }

  pipeline_arn = "arn:${local.partition}:codepipeline:${local.region}:${local.account}:${local.name}"
  project_arns = { # fixed names, so that the roles need not wait for the projects
    for environment in ["staging", "production"] :
    environment => "arn:${local.partition}:codebuild:${local.region}:${local.account}:project/${local.name}-${environment}"
  }
}

module "build" {
  source   = "../modules/build-project"
  for_each = local.builds

  name                     = "${local.name}-${each.key}"
  description              = "${local.project.name}: ${each.value.description}"
  buildspec                = "buildspecs/${each.key}.yml"
  artifacts                = { bucket_arn = module.bucket.arn, prefix = local.artifacts_prefix }
  kms_key_arn              = local.kms_key_arn
  role_path                = each.value.role_path
  policy                   = each.value.policy
  permissions_boundary_arn = local.boundary
  log_retention_days       = local.foundation.log_retention_days
  timeout_minutes          = 60 # an endpoint takes minutes to become one, and may have to go back to what it was
}

data "aws_iam_policy_document" "staging" {
  source_policy_documents = [
    data.aws_iam_policy_document.never_approve.json,
    data.aws_iam_policy_document.records.json,
  ]

  statement {
    sid       = "FindNewestApprovedModel"
    actions   = ["sagemaker:DescribeModelPackage", "sagemaker:DescribeModelPackageGroup", "sagemaker:ListModelPackages"]
    resources = [local.registry.group_arn, local.registry.versions_arn]
  }

  statement {
    sid       = "SeeWhetherItsFilesAreThere" # their names, not what is in them
    actions   = ["s3:ListBucket"]
    resources = [local.registry.bucket_arn]
    condition {
      test     = "StringLike"
      variable = "s3:prefix"
      values   = ["models/*"]
    }
  }

  statement {
    sid       = "SeeWhatElseRuns"
    actions   = ["codepipeline:GetPipelineExecution", "codepipeline:ListPipelineExecutions"]
    resources = [local.pipeline_arn]
  }

  statement {
    sid       = "SeeBuilds"
    actions   = ["codebuild:BatchGetBuilds", "codebuild:ListBuildsForProject"]
    resources = values(local.project_arns)
  }

  statement {
    sid       = "DeployToStaging"
    actions   = ["sts:AssumeRole"]
    resources = [local.deployment_role_arns.staging]
  }
}

data "aws_iam_policy_document" "production" {
  source_policy_documents = [
    data.aws_iam_policy_document.never_approve.json,
    data.aws_iam_policy_document.records.json,
  ]

  statement {
    sid       = "SeeWhetherTheModelIsStillApproved"
    actions   = ["sagemaker:DescribeModelPackage"]
    resources = [local.registry.versions_arn]
  }

  statement {
    sid       = "SeeOwnBuilds"
    actions   = ["codebuild:BatchGetBuilds", "codebuild:ListBuildsForProject"]
    resources = [local.project_arns.production]
  }

  statement {
    sid       = "DeployToProduction"
    actions   = ["sts:AssumeRole"]
    resources = [local.deployment_role_arns.production]
  }
}

# What is live, what was live before, and what the tests said; and for the alarms, whether what is live is approved.
data "aws_iam_policy_document" "records" {
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

  statement {
    sid       = "TellAlarms" # resource *: metrics have no ARN; the condition names their namespace
    actions   = ["cloudwatch:PutMetricData"]
    resources = ["*"]
    condition {
      test     = "StringEquals"
      variable = "cloudwatch:namespace"
      values   = [local.metrics_namespace]
    }
  }
}

# Neither a model nor its way to production is approved by what deploys it, whatever its role is given later: a person does.
data "aws_iam_policy_document" "never_approve" {
  statement {
    sid       = "NeverApprove" # resource *: this only denies
    effect    = "Deny"
    actions   = ["codepipeline:PutApprovalResult", "sagemaker:CreateModelPackage", "sagemaker:UpdateModelPackage"]
    resources = ["*"]
  }
}
