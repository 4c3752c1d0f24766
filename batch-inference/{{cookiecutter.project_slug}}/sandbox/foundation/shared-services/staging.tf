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
