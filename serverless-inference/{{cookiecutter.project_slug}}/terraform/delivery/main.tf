# What an approved model needs to become an endpoint: everything here is read from config/*.yaml and from what the
# organisation's foundation says about itself. To change something, edit the YAML and apply again.

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
  group   = yamldecode(file("${path.module}/../../config/endpoint.yaml")).model_package_group

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

  # Where the models come from: the group, and the bucket that its model-build repository has made (a convention).
  sagemaker = "arn:${local.partition}:sagemaker:${local.region}:${local.account}"
  registry = {
    group_arn    = "${local.sagemaker}:model-package-group/${local.group}"
    versions_arn = "${local.sagemaker}:model-package/${local.group}/*" # every version: their numbers come later
    bucket_arn   = "arn:${local.partition}:s3:::${local.project.prefix}-${local.group}-${local.account}-${local.region}"
  }

  tags = merge({ project = local.name, "managed-by" = "terraform" }, local.project.tags)
}
