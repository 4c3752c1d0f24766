# One environment that builds in shared services deploy to: the role that deploys, its limits, and the parameter that
# tells deployments what there is. Production has the plain names, since it had them first.

terraform {
  required_version = ">= 1.10"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 5.100"
    }
  }
}

data "aws_partition" "current" {}

locals {
  partition         = data.aws_partition.current.partition
  other_environment = var.environment == "production" ? "staging" : "production"
  suffix            = var.environment == "production" ? "" : "-${var.environment}"

  # Roles of builds that deploy, in shared services. The path is the convention: a new repository needs no change here,
  # a build that only trains is not let in, and one that deploys to staging is not let into production.
  build_role_path = "/${var.prefix}/deploy${local.suffix}/"
  build_role_arns = "arn:${local.partition}:iam::${var.shared_services_account_id}:role${local.build_role_path}*"

  # Roles that deployments make for Lambda, SageMaker and EventBridge: the path is how the deployment role is kept to
  # them.
  service_role_path = "/${var.prefix}/service${local.suffix}/"
  service_role_arns = "arn:${local.partition}:iam::${var.account_id}:role${local.service_role_path}*"

  # In the account of shared services, builds have put models and sources into buckets of the same prefix. So a
  # deployment has those alone that say the environment, and, as an ARN of S3 has none, the account and the region.
  deployment_buckets = "arn:${local.partition}:s3:::${var.prefix}-*-${var.environment}-${var.account_id}-${var.region}"

  state_bucket_arn        = "arn:${local.partition}:s3:::${var.state_bucket}"
  shared_state_bucket_arn = "arn:${local.partition}:s3:::${var.prefix}-terraform-state-${var.shared_services_account_id}-${var.region}"
  source_bucket_arn       = "arn:${local.partition}:s3:::${var.prefix}-source-${var.shared_services_account_id}-${var.region}"

  foundation = {
    version                    = 1
    region                     = var.region
    shared_services_account_id = var.shared_services_account_id
    production_account_id      = var.production_account_id
    state_bucket               = var.state_bucket
    state_key_prefix           = "deployment/"
    kms_key_arn                = var.kms_key_arn
    notifications_topic_arn    = var.notifications_topic_arn
    deployment_role_arn        = aws_iam_role.deployment.arn
    service_role_path          = local.service_role_path
    permissions_boundary_arn   = local.permissions_boundary_arn
    log_retention_days         = var.log_retention_days
  }
}

resource "aws_ssm_parameter" "foundation" {
  #checkov:skip=CKV2_AWS_34:names and ARNs, no secret; every deployment reads it
  #checkov:skip=CKV_AWS_337:names and ARNs, no secret; every deployment reads it
  name        = "/${var.prefix}/foundation-${var.environment}"
  description = "What deployments to ${var.environment} need to know about the foundation, as JSON"
  type        = "String"
  value       = jsonencode(local.foundation)
}

# The role with which builds in shared services deploy.
resource "aws_iam_role" "deployment" {
  name                 = "${var.prefix}-deployment${local.suffix}"
  description          = "Deploys models to ${var.environment}; assumed by roles under ${local.build_role_path} of shared services"
  assume_role_policy   = data.aws_iam_policy_document.deployment_trust.json
  max_session_duration = 3600
}

data "aws_iam_policy_document" "deployment_trust" {
  statement {
    sid     = "BuildsThatDeploy"
    actions = ["sts:AssumeRole"]

    # The account, and the condition chooses from it. A list of roles would name roles that do not exist yet.
    principals {
      type        = "AWS"
      identifiers = ["arn:${local.partition}:iam::${var.shared_services_account_id}:root"]
    }

    # The name after the path is the repository's choice.
    condition {
      test     = "ArnLike"
      variable = "aws:PrincipalArn"
      values   = [local.build_role_arns]
    }
  }
}

# One policy for each subject; together they stay under the 10,240 characters that a role's inline policies may have.
resource "aws_iam_role_policy" "deployment" {
  for_each = {
    models = data.aws_iam_policy_document.models.json
    events = data.aws_iam_policy_document.events.json
    data   = data.aws_iam_policy_document.data.json
    roles  = data.aws_iam_policy_document.roles.json
    limits = data.aws_iam_policy_document.limits.json
  }

  name   = each.key
  role   = aws_iam_role.deployment.id
  policy = each.value
}

output "foundation" {
  description = "What the parameter tells the deployments."
  value       = local.foundation
}

output "parameter_name" {
  description = "Name of the SSM parameter that the deployments read."
  value       = aws_ssm_parameter.foundation.name
}
