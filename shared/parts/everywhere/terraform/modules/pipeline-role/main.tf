# CodePipeline's role: it fetches the source, keeps artifacts in its folder, starts these builds, and asks people
# for approval where there is a topic to ask by.

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
  description = "The role's name."
  type        = string
}

variable "description" {
  description = "One line for the console: which pipeline acts as this role, and to do what."
  type        = string
}

variable "source_object" {
  description = "The archive that the pipeline starts from, and the key that encrypts it."
  type = object({
    bucket      = string
    key         = string
    kms_key_arn = string
  })
}

variable "artifacts" {
  description = "Where the pipeline keeps what it passes between actions: the bucket's ARN, the pipeline's prefix, ending with /, and the key that encrypts it."
  type = object({
    bucket_arn  = string
    prefix      = string
    kms_key_arn = string
  })
}

variable "build_arns" {
  description = "The CodeBuild projects that it starts."
  type        = list(string)
}

variable "approval_topic" {
  description = "The SNS topic by which it asks for approval, and the key that encrypts the topic; null where it asks nobody."
  type = object({
    arn         = string
    kms_key_arn = string
  })
  default = null
}

variable "permissions_boundary_arn" {
  description = "The policy that bounds every role of the organisation; null for none."
  type        = string
  default     = null
}

data "aws_partition" "current" {}
data "aws_region" "current" {}

locals {
  source_bucket_arn = "arn:${data.aws_partition.current.partition}:s3:::${var.source_object.bucket}"
}

module "role" {
  source = "../service-role"

  name                     = var.name
  description              = var.description
  service                  = "codepipeline.amazonaws.com"
  policy                   = data.aws_iam_policy_document.role.json
  permissions_boundary_arn = var.permissions_boundary_arn
}

data "aws_iam_policy_document" "role" {
  statement {
    sid       = "ReadSource"
    actions   = ["s3:GetObject", "s3:GetObjectTagging", "s3:GetObjectVersion", "s3:GetObjectVersionTagging"]
    resources = ["${local.source_bucket_arn}/${var.source_object.key}"]
  }

  statement {
    sid       = "FindSourceAndArtifacts"
    actions   = ["s3:GetBucketAcl", "s3:GetBucketLocation", "s3:GetBucketVersioning", "s3:ListBucket"]
    resources = [local.source_bucket_arn, var.artifacts.bucket_arn]
  }

  statement {
    sid       = "DecryptSource"
    actions   = ["kms:Decrypt", "kms:DescribeKey"]
    resources = [var.source_object.kms_key_arn]
  }

  statement {
    sid       = "KeepArtifacts" # CodePipeline chooses the names below its folder
    actions   = ["s3:GetObject", "s3:GetObjectVersion", "s3:PutObject"]
    resources = ["${var.artifacts.bucket_arn}/${var.artifacts.prefix}*"]
  }

  statement {
    sid       = "EncryptArtifacts"
    actions   = ["kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey", "kms:ReEncryptFrom", "kms:ReEncryptTo"]
    resources = [var.artifacts.kms_key_arn]
  }

  statement {
    sid       = "Build"
    actions   = ["codebuild:BatchGetBuilds", "codebuild:StartBuild", "codebuild:StopBuild"]
    resources = var.build_arns
  }

  dynamic "statement" {
    for_each = var.approval_topic == null ? [] : [var.approval_topic]
    content {
      sid       = "AskForApproval"
      actions   = ["sns:Publish"]
      resources = [statement.value.arn]
    }
  }

  dynamic "statement" {
    for_each = var.approval_topic == null ? [] : [var.approval_topic]
    content {
      sid       = "EncryptTheQuestion"
      actions   = ["kms:Decrypt", "kms:GenerateDataKey"]
      resources = [statement.value.kms_key_arn]
      condition {
        test     = "StringEquals"
        variable = "kms:ViaService"
        values   = ["sns.${data.aws_region.current.name}.amazonaws.com"]
      }
    }
  }
}

output "arn" {
  description = "The role's ARN, once its policy is attached."
  value       = module.role.arn
}

# The role was once a service-role of the delivery itself; a repository that has one keeps it.
moved {
  from = aws_iam_role.this
  to   = module.role.aws_iam_role.this
}

moved {
  from = aws_iam_role_policy.this
  to   = module.role.aws_iam_role_policy.this
}
