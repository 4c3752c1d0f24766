# One environment's endpoint: the model that the record of the deployment names, behind a serverless endpoint, with its
# role, log, alarms and dashboard. A record without a model leaves the log and the dashboard, and no endpoint.

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
  project = yamldecode(file("${path.module}/../../config/project.yaml"))
  record  = jsondecode(file(var.deployment))

  # "insecure" only in that it shows in plans: the parameter holds names, no secrets
  foundation = jsondecode(data.aws_ssm_parameter.foundation.insecure_value)

  name      = local.record.endpoint_name
  settings  = local.record.settings
  model     = local.record.model
  has_model = local.model != null

  region           = local.project.region
  account          = var.environment == "staging" ? local.project.accounts.shared_services : local.project.accounts.production
  registry_account = local.project.accounts.shared_services
  partition        = data.aws_partition.current.partition
  topic            = local.foundation.notifications_topic_arn

  tags = merge({ project = local.project.slug, environment = var.environment, "managed-by" = "terraform" }, local.project.tags)
}

# What the containers write. SageMaker would make the group by itself; made here, it is encrypted and its lines expire.
resource "aws_cloudwatch_log_group" "this" {
  # checkov:skip=CKV_AWS_338:how long logs are kept is the foundation's setting
  name              = "/aws/sagemaker/Endpoints/${local.name}" # SageMaker's own name for it
  retention_in_days = local.foundation.log_retention_days
  kms_key_id        = local.foundation.kms_key_arn
}

output "endpoint_name" {
  description = "The endpoint; null without a model."
  value       = local.has_model ? aws_sagemaker_endpoint.this[0].name : null
}

output "endpoint_arn" {
  description = "Its ARN, for policies of those who ask it (sagemaker:InvokeEndpoint); null without a model."
  value       = local.has_model ? aws_sagemaker_endpoint.this[0].arn : null
}

output "dashboard_url" {
  description = "Requests, errors, latency and concurrency."
  value       = local.dashboard_url
}

output "log_group" {
  description = "What the model's containers write."
  value       = aws_cloudwatch_log_group.this.name
}
