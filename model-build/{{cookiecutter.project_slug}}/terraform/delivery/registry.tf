# The model package group: versions of the model, each waiting for a person's approval; and who may give it.

locals {
  # fixed names, so that roles need not wait for the group
  sagemaker = "arn:${local.partition}:sagemaker:${local.region}:${local.account}"
  registry = {
    group_arn    = "${local.sagemaker}:model-package-group/${local.name}"
    versions_arn = "${local.sagemaker}:model-package/${local.name}/*" # every version: their numbers come later
  }
}

resource "aws_sagemaker_model_package_group" "this" {
  model_package_group_name        = local.name
  model_package_group_description = local.project.description == "" ? local.project.name : local.project.description

  depends_on = [aws_ecr_repository.serving] # the images of versions go last
}

resource "aws_sagemaker_model_package_group_policy" "this" {
  count = local.two_accounts ? 1 : 0

  model_package_group_name = aws_sagemaker_model_package_group.this.model_package_group_name
  resource_policy          = data.aws_iam_policy_document.registry[0].json
}

data "aws_iam_policy_document" "registry" {
  count = local.two_accounts ? 1 : 0

  statement {
    sid       = "ProductionSeesTheGroup"
    actions   = ["sagemaker:DescribeModelPackageGroup"]
    resources = [local.registry.group_arn]
    principals {
      type        = "AWS"
      identifiers = ["arn:${local.partition}:iam::${local.production_readers.account_id}:root"]
    }
    condition {
      test     = "ArnLike"
      variable = "aws:PrincipalArn"
      values   = local.production_readers.principal_arns
    }
  }

  statement {
    sid       = "ProductionReadsVersionsAndMakesModelsOfThem"
    actions   = ["sagemaker:CreateModel", "sagemaker:DescribeModelPackage", "sagemaker:ListModelPackages"]
    resources = [local.registry.versions_arn]
    principals {
      type        = "AWS"
      identifiers = ["arn:${local.partition}:iam::${local.production_readers.account_id}:root"]
    }
    condition {
      test     = "ArnLike"
      variable = "aws:PrincipalArn"
      values   = local.production_readers.principal_arns
    }
  }
}

# What a person needs to decide about versions (make compare, approve, reject, lineage, status): attach it to the role or
# permission set of those who may. Nothing here lets anybody train, or read the texts that a model was trained on.
resource "aws_iam_policy" "decide" {
  name        = "${local.name}-decide"
  description = "Look at, approve and reject versions of ${local.name}"
  policy      = data.aws_iam_policy_document.decide.json
}

data "aws_iam_policy_document" "decide" {
  statement {
    sid       = "LookAtVersions"
    actions   = ["sagemaker:DescribeModelPackage", "sagemaker:DescribeModelPackageGroup", "sagemaker:ListModelPackages"]
    resources = [local.registry.group_arn, local.registry.versions_arn]
  }

  statement {
    sid       = "Decide"
    actions   = ["sagemaker:UpdateModelPackage"]
    resources = [local.registry.versions_arn]
  }

  statement {
    sid       = "LookAtRuns"
    actions   = ["sagemaker:DescribePipeline", "sagemaker:DescribePipelineExecution", "sagemaker:ListPipelineExecutionSteps", "sagemaker:ListPipelineExecutions"]
    resources = [local.pipeline_arn, "${local.pipeline_arn}/execution/*"] # every run: their names come later
  }

  statement {
    sid       = "LookAtJobs" # the jobs of all pipelines are called pipelines-…
    actions   = ["sagemaker:DescribeProcessingJob", "sagemaker:DescribeTrainingJob"]
    resources = ["${local.sagemaker}:processing-job/pipelines-*", "${local.sagemaker}:training-job/pipelines-*"]
  }

  statement {
    sid     = "ReadReports" # not the sets beside them, which have the texts; evaluation's report quotes some
    actions = ["s3:GetObject"]
    resources = [
      "${module.bucket.arn}/config/*",
      "${module.bucket.arn}/runs/*/evaluate/*",
      "${module.bucket.arn}/runs/*/preprocess/report/*",
    ]
  }

  statement {
    sid       = "DecryptReports"
    actions   = ["kms:Decrypt"]
    resources = [local.kms_key_arn]
    condition {
      test     = "StringEquals"
      variable = "kms:ViaService"
      values   = ["s3.${local.region}.amazonaws.com"]
    }
  }
}
