# What a push needs to become pipelines that answer files: everything here is read from config/*.yaml and from what the
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

module "promotion" {
  source = "../modules/promotion"

  project     = local.project
  foundation  = local.foundation
  failure     = "a push was not deployed, as a build failed or a person said no"
  delete_data = var.delete_data

  builds = {
    staging = {
      description = "deploys to staging and has a file answered there"
      policy      = data.aws_iam_policy_document.staging.json
    }
    production = { # which model answers is decided when a file arrives: this build needs to know nothing of it
      description = "deploys to production what staging has tested"
    }
  }
}

locals {
  project = yamldecode(file("${path.module}/../../config/project.yaml"))
  group   = yamldecode(file("${path.module}/../../config/transform.yaml")).model_package_group

  # "insecure" only in that it shows in plans: the parameter holds names, no secrets
  foundation = jsondecode(data.aws_ssm_parameter.foundation.insecure_value)

  name      = local.project.slug
  account   = local.project.accounts.shared_services
  partition = data.aws_partition.current.partition

  # Where the models come from.
  sagemaker = "arn:${local.partition}:sagemaker:${local.project.region}:${local.account}"
  registry = {
    group_arn    = "${local.sagemaker}:model-package-group/${local.group}"
    versions_arn = "${local.sagemaker}:model-package/${local.group}/*" # every version: their numbers come later
  }

  tags = merge({ project = local.name, "managed-by" = "terraform" }, local.project.tags)
}
