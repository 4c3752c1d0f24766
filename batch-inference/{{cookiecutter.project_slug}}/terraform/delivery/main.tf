# What a push needs to become pipelines that answer files: everything here is read from config/*.yaml and from what the
# organisation's foundation says about itself. To change something, edit the YAML and apply again.

terraform {
  required_version = ">= 1.10"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 5.100"
    }
  }

  # `terraform init` is given the rest (make register does it):
  #   bucket = <prefix>-terraform-state-<account>-<region>, key = delivery/<slug>.tfstate, use_lockfile = true
  backend "s3" {}
}

provider "aws" {
  region              = local.project.region
  allowed_account_ids = [local.account] # credentials of another account stop here, before anything is made

  default_tags {
    tags = local.tags
  }
}

variable "delete_data" {
  description = "Whether destroying also deletes the bucket's records of deployments and reports; otherwise a bucket that is not empty stays."
  type        = bool
  default     = false
}

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

# What each build may do besides deploying and keeping records, which every build of a promotion does.
data "aws_iam_policy_document" "staging" {
  statement {
    sid       = "SeeWhetherAModelIsApproved" # without one no file can be answered, and none is tried
    actions   = ["sagemaker:DescribeModelPackage", "sagemaker:DescribeModelPackageGroup", "sagemaker:ListModelPackages"]
    resources = [local.registry.group_arn, local.registry.versions_arn]
  }
}

output "pipeline" {
  description = "The CodePipeline that a push starts."
  value       = module.promotion.pipeline
}

output "pipeline_url" {
  description = "Where to watch it."
  value       = module.promotion.pipeline_url
}

output "source" {
  description = "The object that starts the pipeline when it is written."
  value       = module.promotion.source
}

output "model_package_group" {
  description = "The group whose newest approved version answers."
  value       = local.group
}

output "bucket" {
  description = "Records of deployments and reports."
  value       = module.promotion.bucket
}

output "kms_key_arn" {
  description = "The key that encrypts them."
  value       = module.promotion.kms_key_arn
}

output "build_role_arns" {
  description = "Environment -> the role of the build that deploys it."
  value       = module.promotion.build_role_arns
}

output "undelivered_queue_url" {
  description = "Events that could not be delivered."
  value       = module.promotion.undelivered_queue_url
}
