# What a push needs to become a model package: everything here is read from config/*.yaml and from what the
# organisation's foundation says about itself. To change something, edit the YAML and apply again.

data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}

data "aws_ssm_parameter" "foundation" {
  name = "/${local.project.prefix}/foundation"

  lifecycle {
    postcondition {
      condition     = jsondecode(self.insecure_value).region == local.project.region
      error_message = "config/project.yaml: region: expected the foundation's, ${jsondecode(self.insecure_value).region}, got ${local.project.region}"
    }
    postcondition {
      condition     = jsondecode(self.insecure_value).production_account_id == local.project.accounts.production
      error_message = "config/project.yaml: accounts.production: expected the foundation's, ${jsondecode(self.insecure_value).production_account_id}, got ${local.project.accounts.production}"
    }
  }
}

locals {
  project = yamldecode(file("${path.module}/../../config/project.yaml"))
  model   = yamldecode(file("${path.module}/../../config/model.yaml"))

  # "insecure" only in that it shows in plans: the parameter holds names, no secrets
  foundation = jsondecode(data.aws_ssm_parameter.foundation.insecure_value)

  name      = local.project.slug
  region    = local.project.region
  account   = local.project.accounts.shared_services
  partition = data.aws_partition.current.partition
  boundary  = local.foundation.permissions_boundary_arn
  topic     = local.foundation.notifications_topic_arn
  source = {
    bucket = local.foundation.source_bucket
    key    = "${local.project.bitbucket.repository}/main.zip"
  }

  tags = merge({ project = local.name, "managed-by" = "terraform" }, local.project.tags)

  # In single-account mode everybody is at home, and a policy that names the account's own root again is a mistake.
  two_accounts = local.project.accounts.production != local.account

  # Who in production reads models, where that is another account: the role that deploys, and the roles that it makes,
  # which the foundation lets it make under this path only. Not exact role ARNs: S3 and KMS refuse a policy that names
  # a role which does not exist yet.
  production_roles = "arn:${local.partition}:iam::${local.project.accounts.production}:role"
  production_readers = {
    account_id     = local.project.accounts.production
    principal_arns = ["${local.production_roles}/${local.project.prefix}-deployment", "${local.production_roles}/${local.project.prefix}/service/*"]
  }
}
