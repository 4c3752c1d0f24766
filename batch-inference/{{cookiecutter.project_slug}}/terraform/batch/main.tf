# One environment: a file that arrives below input/ of its bucket starts the SageMaker pipeline that answers it. What is
# to be live, and with which settings, the record of the deployment says. A record that is not enabled leaves the bucket.

terraform {
  required_version = ">= 1.10"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "5.100.0" # exactly: the builds keep no lock file
    }
  }

  # `terraform init` is given the rest (the builds do it), once for each environment:
  #   bucket = <the foundation's state bucket there>, key = deployment/<slug>/<environment>.tfstate,
  #   use_lockfile = true, assume_role = { role_arn = <deployment_role_arn> }
  backend "s3" {}
}

provider "aws" {
  region              = local.project.region
  allowed_account_ids = [local.account]

  assume_role {
    role_arn     = var.deployment_role_arn
    session_name = "${local.project.slug}-${var.environment}"
  }

  default_tags {
    tags = local.tags
  }
}

data "aws_partition" "current" {}

data "aws_ssm_parameter" "foundation" {
  name = "/${local.project.prefix}/foundation-${var.environment}"

  lifecycle {
    postcondition {
      condition     = jsondecode(self.insecure_value).region == local.project.region
      error_message = "config/project.yaml: region: expected the foundation's, ${jsondecode(self.insecure_value).region}, got ${local.project.region}"
    }
  }
}

locals {
  project  = yamldecode(file("${path.module}/../../config/project.yaml"))
  record   = jsondecode(file(var.deployment))
  settings = local.record.settings
  enabled  = local.record.enabled ? 1 : 0

  # "insecure" only in that it shows in plans: the parameter holds names, no secrets
  foundation = jsondecode(data.aws_ssm_parameter.foundation.insecure_value)

  slug             = local.project.slug
  name             = local.record.name # <slug>-<environment>
  region           = local.project.region
  account          = var.environment == "staging" ? local.project.accounts.shared_services : local.project.accounts.production
  registry_account = local.project.accounts.shared_services
  partition        = data.aws_partition.current.partition
  kms_key_arn      = local.foundation.kms_key_arn
  topic            = local.foundation.notifications_topic_arn

  # Fixed names, so that roles and policies need not wait for what they name.
  sagemaker    = "arn:${local.partition}:sagemaker:${local.region}:${local.account}"
  pipeline_arn = "${local.sagemaker}:pipeline/${local.name}"
  rules_arn    = "arn:${local.partition}:events:${local.region}:${local.account}:rule"

  # Where the models come from: the group, and the bucket and the images that its model-build repository has made (a
  # convention).
  group        = local.record.model_package_group
  registry     = "arn:${local.partition}:sagemaker:${local.region}:${local.registry_account}"
  group_arn    = "${local.registry}:model-package-group/${local.group}"
  versions_arn = "${local.registry}:model-package/${local.group}/*" # every version: their numbers come later
  models_arn   = "arn:${local.partition}:s3:::${local.project.prefix}-${local.group}-${local.registry_account}-${local.region}"

  serving_image_arn = "arn:${local.partition}:ecr:${local.region}:${local.registry_account}:repository/${local.group}-serving"

  definition = file("${dirname(var.deployment)}/${local.record.definition}")

  tags = merge({ project = local.slug, environment = var.environment, "managed-by" = "terraform" }, local.project.tags)
}

# Files to answer, their answers, and what the pipeline makes on its way.
module "bucket" {
  source = "../modules/bucket"

  name        = local.record.bucket
  kms_key_arn = local.kms_key_arn
  eventbridge = true
  delete_data = var.delete_data

  expire_days = { for folder, days in {
    (local.settings.input.prefix)  = local.settings.retention.input_days
    (local.settings.output.prefix) = local.settings.retention.output_days
    "work/"                        = local.settings.retention.work_days
  } : folder => days if days != null }
}

resource "terraform_data" "names" {
  input = [local.name, local.record.bucket]

  lifecycle {
    precondition {
      condition     = local.name == "${local.slug}-${var.environment}"
      error_message = "${var.deployment}: name: expected ${local.slug}-${var.environment}, got ${local.name}"
    }
    precondition {
      # what the foundation lets deployments to this environment make
      condition     = local.record.bucket == "${local.project.prefix}-${local.name}-${local.account}-${local.region}"
      error_message = "${var.deployment}: bucket: expected ${local.project.prefix}-${local.name}-${local.account}-${local.region}, got ${local.record.bucket}"
    }
    precondition {
      condition     = length(local.record.bucket) <= 63
      error_message = "config/project.yaml: slug: ${local.record.bucket} has ${length(local.record.bucket)} characters, and a bucket's name has at most 63; choose a shorter slug"
    }
  }
}

# The SageMaker pipeline. Its definition is the build's; an execution that has begun goes on with the one that it began with.
resource "aws_sagemaker_pipeline" "this" {
  count = local.enabled

  pipeline_name         = local.name
  pipeline_display_name = local.name
  pipeline_description  = "${local.project.name}: answers files in ${local.record.bucket}"
  pipeline_definition   = local.definition
  role_arn              = module.jobs_role[0].arn

  # a definition that calls new functions comes after them
  depends_on = [aws_lambda_function.this]

  lifecycle {
    precondition {
      condition     = sha256(local.definition) == local.record.definition_sha256
      error_message = "${local.record.definition}: expected the file whose SHA-256 the record names (definition_sha256), got another"
    }
    precondition {
      condition     = length(local.definition) <= 1048576
      error_message = "${local.record.definition}: ${length(local.definition)} characters; SageMaker takes at most 1,048,576"
    }
  }
}

output "bucket" {
  description = "The bucket with the files and their answers."
  value       = module.bucket.name
}

output "pipeline" {
  description = "The SageMaker pipeline that answers a file; null while it is not enabled."
  value       = one(aws_sagemaker_pipeline.this[*].pipeline_name)
}

output "undelivered_queue_url" {
  description = "The queue with events that could not be delivered; null while it is not enabled."
  value       = one(module.undelivered[*].url)
}

output "log_groups" {
  description = "Function -> where it writes its log."
  value       = { for name, group in aws_cloudwatch_log_group.function : name => group.name }
}
