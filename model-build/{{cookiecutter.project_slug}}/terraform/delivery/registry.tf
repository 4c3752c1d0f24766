# The model package group: versions of the model, each waiting for a person's approval.

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

locals {
  # fixed names, so that roles need not wait for the group
  sagemaker = "arn:${local.partition}:sagemaker:${local.region}:${local.account}"
  registry = {
    group_arn    = "${local.sagemaker}:model-package-group/${local.name}"
    versions_arn = "${local.sagemaker}:model-package/${local.name}/*" # every version: their numbers come later
  }
}
