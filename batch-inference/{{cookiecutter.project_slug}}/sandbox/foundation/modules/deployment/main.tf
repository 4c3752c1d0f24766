# One environment that builds in shared services deploy to: the role that deploys, its limits, and the parameter that
# tells deployments what there is. Production has the plain names, since it had them first.

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
