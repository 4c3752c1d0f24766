# What a push needs to become a model package: everything here is read from config/*.yaml and from what the
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
  description = "Whether destroying also deletes the bucket's data, models and reports; otherwise a bucket that is not empty stays."
  type        = bool
  default     = false
}

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

  # CodePipeline cuts the pipeline's name to 20 characters for its folder in the bucket.
  artifacts_prefix = "${substr(local.name, 0, 20)}/"

  written_by_builds = ["base-models/", "code/", "config/", "data/"]
  written_by_jobs   = ["checkpoints/", "models/", "runs/"]

  kms_key_arn = local.project.kms_key_arn != null ? local.project.kms_key_arn : module.key[0].arn
}

module "key" {
  source = "../modules/key"
  count  = local.project.kms_key_arn == null ? 1 : 0

  name        = local.name
  description = "${local.project.name}: data, models and logs"
  log_groups  = concat(["/aws/codebuild/${local.name}-build"], local.lean ? ["/aws/codebuild/${local.name}-serving-image"] : [])
  readers     = local.two_accounts ? local.production_readers : null
}

# Data, code, models and reports, and what CodePipeline passes between its actions.
module "bucket" {
  source = "../modules/bucket"

  name        = local.project.bucket
  kms_key_arn = local.kms_key_arn
  delete_data = var.delete_data
  readers     = local.two_accounts ? merge(local.production_readers, { prefixes = ["models/"] }) : null

  expire_days = {
    (local.artifacts_prefix) = 30 # the source stays in the foundation's bucket
    "checkpoints/"           = 30 # training continues from them for as long as spot capacity is waited for
  }
}

resource "terraform_data" "folders" {
  input = local.artifacts_prefix

  lifecycle {
    precondition {
      # else CodePipeline's artifacts would lie, and expire, among the models
      condition     = !contains(concat(local.written_by_builds, local.written_by_jobs), local.artifacts_prefix)
      error_message = "config/project.yaml: slug: ${local.name} is the name of a folder that the bucket already has; choose another"
    }
  }
}

output "pipeline" {
  description = "The CodePipeline that a push starts."
  value       = aws_codepipeline.this.name
}

output "pipeline_url" {
  description = "Where to watch it."
  value       = "https://${local.region}.console.aws.amazon.com/codesuite/codepipeline/pipelines/${local.name}/view?region=${local.region}"
}

output "source" {
  description = "The object that starts the pipeline when it is written."
  value       = "s3://${local.source.bucket}/${local.source.key}"
}

output "bucket" {
  description = "Data, models and reports."
  value       = module.bucket.name
}

output "kms_key_arn" {
  description = "The key that encrypts them."
  value       = local.kms_key_arn
}

output "execution_role_arn" {
  description = "The role of the SageMaker pipeline and its jobs."
  value       = local.execution_role_arn
}

output "model_package_group" {
  description = "Where trained models are registered."
  value       = aws_sagemaker_model_package_group.this.model_package_group_name
}

output "undelivered_queue_url" {
  description = "Events that could not be delivered."
  value       = module.events.undelivered_queue_url
}

output "decide_policy_arn" {
  description = "The policy of people who look at, approve and reject versions."
  value       = aws_iam_policy.decide.arn
}
