# What the repositories of an organisation share: where Terraform's state and the sources lie, the key, the
# notifications. What Bitbucket needs is in bridge.tf (Data Center) or cloud.tf (Cloud).

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
