# A CodeBuild project that a CodePipeline action starts, with its role and its log.

terraform {
  required_version = ">= 1.10"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 5.100"
    }
  }
}

variable "name" {
  description = "The name of the project, its role and its log group."
  type        = string
}

variable "description" {
  description = "One line for the console."
  type        = string
}

variable "buildspec" {
  description = "The buildspec's path in the source."
  type        = string
}

variable "artifacts" {
  description = "Where the pipeline keeps what it passes between actions: the bucket's ARN and the pipeline's prefix, ending with /."
  type = object({
    bucket_arn = string
    prefix     = string
  })
}

variable "kms_key_arn" {
  description = "The key that encrypts artifacts and logs."
  type        = string
}

variable "policy" {
  description = "What builds may do besides writing their log and exchanging artifacts, as JSON."
  type        = string
}

variable "environment" {
  description = "Environment variables of builds; no secrets, as they show in the console."
  type        = map(string)
  default     = {}
}

variable "role_path" {
  description = "The role's path; builds that deploy to production have /<prefix>/deploy/."
  type        = string
  default     = "/"
}

variable "permissions_boundary_arn" {
  description = "The policy that bounds every role of the organisation; null for none."
  type        = string
  default     = null
}

variable "log_retention_days" {
  description = "How long logs are kept."
  type        = number
}

variable "privileged" {
  description = "Whether builds have docker, which takes a privileged container; it has the machine that one build runs on."
  type        = bool
  default     = false
}

variable "timeout_minutes" {
  description = "When a build is stopped."
  type        = number
  default     = 30
}

data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}
data "aws_region" "current" {}

locals {
  account   = data.aws_caller_identity.current.account_id
  partition = data.aws_partition.current.partition
  region    = data.aws_region.current.name
}

resource "aws_codebuild_project" "this" {
  name           = var.name
  description    = var.description
  service_role   = module.role.arn
  encryption_key = var.kms_key_arn
  build_timeout  = var.timeout_minutes

  source {
    type      = "CODEPIPELINE"
    buildspec = var.buildspec
  }

  artifacts {
    type = "CODEPIPELINE"
  }

  environment {
    type            = "LINUX_CONTAINER"
    compute_type    = "BUILD_GENERAL1_SMALL"
    image           = "aws/codebuild/standard:7.0"
    privileged_mode = var.privileged

    dynamic "environment_variable" {
      for_each = var.environment
      content {
        name  = environment_variable.key
        value = environment_variable.value
      }
    }
  }

  logs_config {
    cloudwatch_logs {
      group_name = aws_cloudwatch_log_group.this.name
    }
  }
}

resource "aws_cloudwatch_log_group" "this" {
  # checkov:skip=CKV_AWS_338:how long logs are kept is the foundation's setting
  name              = "/aws/codebuild/${var.name}" # CodeBuild's own name for it: made here, so that logs expire
  retention_in_days = var.log_retention_days
  kms_key_id        = var.kms_key_arn
}

module "role" {
  source = "../service-role"

  name                     = var.name
  path                     = var.role_path
  description              = "Builds of ${var.name}"
  service                  = "codebuild.amazonaws.com"
  source_arns              = ["arn:${local.partition}:codebuild:${local.region}:${local.account}:project/${var.name}"]
  policy                   = data.aws_iam_policy_document.role.json
  permissions_boundary_arn = var.permissions_boundary_arn
}

data "aws_iam_policy_document" "role" {
  source_policy_documents = [var.policy]

  statement {
    sid       = "WriteLog"
    actions   = ["logs:CreateLogStream", "logs:PutLogEvents"]
    resources = ["${aws_cloudwatch_log_group.this.arn}:*"] # streams: one for each build, named by CodeBuild
  }

  statement {
    sid       = "ExchangeArtifacts"
    actions   = ["s3:GetObject", "s3:GetObjectVersion", "s3:PutObject"]
    resources = ["${var.artifacts.bucket_arn}/${var.artifacts.prefix}*"] # CodePipeline chooses the names below it
  }

  statement {
    sid       = "UseKey"
    actions   = ["kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey", "kms:ReEncryptFrom", "kms:ReEncryptTo"]
    resources = [var.kms_key_arn]
  }
}

output "name" {
  description = "The project's name, for the pipeline's action."
  value       = aws_codebuild_project.this.name
}

output "arn" {
  description = "The project's ARN."
  value       = aws_codebuild_project.this.arn
}

output "role_arn" {
  description = "The role of builds."
  value       = module.role.arn
}

output "log_group" {
  description = "Where builds write their log."
  value       = aws_cloudwatch_log_group.this.name
}
