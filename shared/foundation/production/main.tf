# What deployments to production stand on: the role that deploys, the key, the notifications, the state.
# With one account for everything, this root is applied to it after ../shared-services; no name occurs in both.

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
  allowed_account_ids = [var.production_account_id]

  default_tags {
    tags = merge(var.tags, {
      project    = var.prefix
      managed-by = "terraform"
      root       = "foundation/production"
    })
  }
}

# In a single account the state lies in the bucket, and under the key, that ../shared-services made.
data "aws_kms_alias" "shared_services" {
  count = local.is_single_account ? 1 : 0

  name = "alias/${var.prefix}"
}

locals {
  account_id        = var.production_account_id
  is_single_account = var.production_account_id == var.shared_services_account_id

  shared_state_bucket = "${var.prefix}-terraform-state-${var.shared_services_account_id}-${var.region}"
  state_bucket        = local.is_single_account ? local.shared_state_bucket : module.state_bucket[0].name
  state_key_arn       = local.is_single_account ? data.aws_kms_alias.shared_services[0].target_key_arn : module.key.arn
}

module "key" {
  source = "../modules/key"

  alias       = "${var.prefix}-production"
  description = "State, data, logs and notifications of ${var.prefix} in production"
  services    = ["cloudwatch.amazonaws.com", "codestar-notifications.amazonaws.com", "sns.amazonaws.com"]
}

module "state_bucket" {
  source = "../modules/bucket"
  count  = local.is_single_account ? 0 : 1

  name            = "${var.prefix}-terraform-state-${local.account_id}-${var.region}"
  kms_key_arn     = module.key.arn
  noncurrent_days = 365
}

module "notifications" {
  source = "../modules/topic"

  name        = "${var.prefix}-notifications-production"
  kms_key_arn = module.key.arn
  subscribers = var.notification_emails
}

module "deployment" {
  source = "../modules/deployment"

  environment                = "production"
  prefix                     = var.prefix
  region                     = var.region
  account_id                 = local.account_id
  shared_services_account_id = var.shared_services_account_id
  production_account_id      = var.production_account_id
  kms_key_arn                = module.key.arn
  notifications_topic_arn    = module.notifications.arn
  state_bucket               = local.state_bucket
  state_key_arn              = local.state_key_arn
  log_retention_days         = var.log_retention_days
  permissions_boundary_arn   = var.permissions_boundary_arn
}

output "foundation" {
  description = "What the parameter tells the deployments."
  value       = module.deployment.foundation
}

output "parameter_name" {
  description = "Name of the SSM parameter that the deployments read."
  value       = module.deployment.parameter_name
}

output "backend_config" {
  description = "The backend block that moves this root's state into the state bucket."
  value       = <<-EOT
    terraform {
      backend "s3" {
        bucket       = "${local.state_bucket}"
        key          = "foundation/production.tfstate"
        region       = "${var.region}"
        encrypt      = true
        kms_key_id   = "${local.state_key_arn}"
        use_lockfile = true
      }
    }
  EOT
}

# Where these were before staging had them too: nothing is made anew, and a boundary that roles have cannot be.
moved {
  from = aws_iam_role.deployment
  to   = module.deployment.aws_iam_role.deployment
}

moved {
  from = aws_iam_role_policy.deployment
  to   = module.deployment.aws_iam_role_policy.deployment
}

moved {
  from = aws_iam_policy.boundary
  to   = module.deployment.aws_iam_policy.boundary
}

moved {
  from = aws_ssm_parameter.foundation
  to   = module.deployment.aws_ssm_parameter.foundation
}
