# What the repositories of an organisation share: where Terraform's state and the sources lie, the key, the
# notifications. What Bitbucket needs is in bridge.tf (Data Center) or publish.tf (Cloud).

terraform {
  required_version = ">= 1.10"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 5.100"
    }
  }
}

provider "aws" {
  region              = var.region
  allowed_account_ids = [var.shared_services_account_id]

  default_tags {
    tags = merge(var.tags, {
      project    = var.prefix
      managed-by = "terraform"
      root       = "foundation/shared-services"
    })
  }
}

data "aws_partition" "current" {}

locals {
  account_id     = var.shared_services_account_id
  partition      = data.aws_partition.current.partition
  is_data_center = var.bitbucket_hosting == "data-center"
  is_cloud       = var.bitbucket_hosting == "cloud"

  # Convention: the role is made by the other root, which may be applied later and in another account.
  deployment_role_arn = "arn:${local.partition}:iam::${var.production_account_id}:role/${var.prefix}-deployment"

  # Everything that a repository needs to know about the foundation, in one place.
  foundation = {
    version                    = 1
    region                     = var.region
    shared_services_account_id = var.shared_services_account_id
    production_account_id      = var.production_account_id
    state_bucket               = module.state_bucket.name
    source_bucket              = module.source_bucket.name
    kms_key_arn                = module.key.arn
    notifications_topic_arn    = module.notifications.arn
    deployment_role_arn        = local.deployment_role_arn
    permissions_boundary_arn   = local.permissions_boundary_arn
    log_retention_days         = var.log_retention_days
    bitbucket_hosting          = var.bitbucket_hosting
    webhook_url                = local.is_data_center ? "${aws_apigatewayv2_api.bitbucket[0].api_endpoint}/bitbucket" : null
    webhook_secret_prefix      = local.webhook_secret_prefix
    publisher_role_arn         = local.is_cloud ? aws_iam_role.publisher[0].arn : null
  }
}

module "key" {
  source = "../modules/key"

  alias       = var.prefix
  description = "State, sources, secrets, queues, logs and notifications of ${var.prefix}"
  services    = ["cloudwatch.amazonaws.com", "codestar-notifications.amazonaws.com", "sns.amazonaws.com", "sqs.amazonaws.com"]
}

module "state_bucket" {
  source = "../modules/bucket"

  name            = "${var.prefix}-terraform-state-${local.account_id}-${var.region}"
  kms_key_arn     = module.key.arn
  noncurrent_days = 365
}

module "source_bucket" {
  source = "../modules/bucket"

  name            = "${var.prefix}-source-${local.account_id}-${var.region}"
  kms_key_arn     = module.key.arn
  eventbridge     = true
  noncurrent_days = var.source_retention_days
}

module "notifications" {
  source = "../modules/topic"

  name        = "${var.prefix}-notifications"
  kms_key_arn = module.key.arn
  subscribers = var.notification_emails
}

resource "aws_ssm_parameter" "foundation" {
  #checkov:skip=CKV2_AWS_34:names and ARNs, no secret; every repository reads it
  #checkov:skip=CKV_AWS_337:names and ARNs, no secret; every repository reads it
  name        = "/${var.prefix}/foundation"
  description = "What the repositories need to know about the foundation, as JSON"
  type        = "String"
  value       = jsonencode(local.foundation)
}

# Staging: this account has the endpoints that a person looks at before production gets the same. Deployments to it
# have a role and limits of their own, as in ../production.
module "staging" {
  source = "../modules/deployment"

  environment                = "staging"
  prefix                     = var.prefix
  region                     = var.region
  account_id                 = local.account_id
  shared_services_account_id = var.shared_services_account_id
  production_account_id      = var.production_account_id
  kms_key_arn                = module.key.arn
  notifications_topic_arn    = module.notifications.arn
  state_bucket               = module.state_bucket.name
  state_key_arn              = module.key.arn
  log_retention_days         = var.log_retention_days
  permissions_boundary_arn   = var.staging_permissions_boundary_arn
}

output "foundation" {
  description = "What the parameter tells the repositories."
  value       = local.foundation
}

output "parameter_name" {
  description = "Name of the SSM parameter that the repositories read."
  value       = aws_ssm_parameter.foundation.name
}

output "publish_policy_arn" {
  description = "Policy that lets a CI server's role or user put sources, and nothing else."
  value       = aws_iam_policy.publish.arn
}

output "token_secret_name" {
  description = "Data Center: the secret that takes Bitbucket's HTTP access token."
  value       = local.is_data_center ? aws_secretsmanager_secret.token[0].name : null
}

output "backend_config" {
  description = "The backend block that moves this root's state into the state bucket."
  value       = <<-EOT
    terraform {
      backend "s3" {
        bucket       = "${module.state_bucket.name}"
        key          = "foundation/shared-services.tfstate"
        region       = "${var.region}"
        encrypt      = true
        kms_key_id   = "${module.key.arn}"
        use_lockfile = true
      }
    }
  EOT
}
