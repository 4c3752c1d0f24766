# The way to production: source -> staging -> a person -> production, with the bucket that keeps what happened.

terraform {
  required_version = ">= 1.10"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 5.100"
    }
  }
}

variable "project" {
  description = "What config/project.yaml says."
  type = object({
    name        = string
    slug        = string
    prefix      = string
    region      = string
    accounts    = object({ shared_services = string })
    bucket      = string
    bitbucket   = object({ repository = string })
    kms_key_arn = optional(string)
  })
}

variable "foundation" {
  description = "What the organisation's foundation says about itself."
  type = object({
    source_bucket            = string
    kms_key_arn              = string
    notifications_topic_arn  = string
    deployment_role_arn      = string
    permissions_boundary_arn = optional(string)
    log_retention_days       = number
  })
}

variable "builds" {
  description = "staging and production -> what the build does, for the console, and what it may do besides what is in build.tf, as JSON."
  type = map(object({
    description = string
    policy      = optional(string)
  }))

  validation {
    condition     = toset(keys(var.builds)) == toset(["production", "staging"])
    error_message = "builds: expected production and staging, got ${join(", ", keys(var.builds))}"
  }
}

variable "start_on" {
  description = "What starts the pipeline besides a new source: rule's name -> event pattern as JSON."
  type        = map(string)
  default     = {}
}

variable "failure" {
  description = "What an execution that failed has not done: the beginning of what people are then told."
  type        = string
}

variable "delete_data" {
  description = "Whether destroying also deletes the bucket's records of deployments and reports; otherwise a bucket that is not empty stays."
  type        = bool
  default     = false
}

data "aws_partition" "current" {}

locals {
  name      = var.project.slug
  region    = var.project.region
  account   = var.project.accounts.shared_services
  partition = data.aws_partition.current.partition
  boundary  = var.foundation.permissions_boundary_arn
  topic     = var.foundation.notifications_topic_arn
  source = {
    bucket = var.foundation.source_bucket
    key    = "${var.project.bitbucket.repository}/main.zip"
  }

  # CodePipeline cuts the pipeline's name to 20 characters for its folder in the bucket.
  artifacts_prefix = "${substr(local.name, 0, 20)}/"

  written_by_builds = ["deployments/", "reports/"]

  kms_key_arn = var.project.kms_key_arn != null ? var.project.kms_key_arn : module.key[0].arn
}

# When the pipeline starts, and what people hear of it. That an approval is wanted, the action says itself (pipeline.tf).
module "events" {
  source = "../events"

  name                     = local.name
  pipeline_arn             = aws_codepipeline.this.arn
  topic_arn                = local.topic
  source_object            = local.source
  start_on                 = var.start_on
  failure                  = var.failure
  permissions_boundary_arn = local.boundary
}

module "key" {
  source = "../key"
  count  = var.project.kms_key_arn == null ? 1 : 0

  name        = local.name
  description = "${var.project.name}: records, reports, artifacts and logs of its delivery"
  log_groups  = [for environment in keys(local.project_arns) : "/aws/codebuild/${local.name}-${environment}"]
}

# Records of deployments, reports, and what CodePipeline passes between its actions.
module "bucket" {
  source = "../bucket"

  name        = var.project.bucket
  kms_key_arn = local.kms_key_arn
  delete_data = var.delete_data

  expire_days = {
    (local.artifacts_prefix) = 30 # an approval is waited for 7 days; the source stays in the foundation's bucket
  }
}

resource "terraform_data" "folders" {
  input = local.artifacts_prefix

  lifecycle {
    precondition {
      # else CodePipeline's artifacts would lie, and expire, among the records
      condition     = !contains(local.written_by_builds, local.artifacts_prefix)
      error_message = "config/project.yaml: slug: ${local.name} is the name of a folder that the bucket already has; choose another"
    }
  }
}

output "pipeline" {
  description = "The CodePipeline's name."
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
  description = "The bucket with records of deployments and reports."
  value       = module.bucket.name
}

output "kms_key_arn" {
  description = "The key that encrypts them."
  value       = local.kms_key_arn
}

output "build_role_arns" {
  description = "Environment -> the role of the build that deploys it."
  value       = { for environment, build in module.build : environment => build.role_arn }
}

output "undelivered_queue_url" {
  description = "The queue with events that could not be delivered."
  value       = module.events.undelivered_queue_url
}
