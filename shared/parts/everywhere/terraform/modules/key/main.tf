# A key of one's own: another account can decrypt with it only because its policy says so, which AWS's managed keys
# cannot do.

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
  description = "What the key is for; its alias is alias/<name>."
  type        = string
}

variable "description" {
  description = "One line for the console."
  type        = string
}

variable "readers" {
  description = "Another account whose principals decrypt objects of this key in S3; null for none. Principals are ARNs, with * for any part of a name."
  type = object({
    account_id     = string
    principal_arns = list(string)
  })
  default = null
}

variable "log_groups" {
  description = "Names of the CloudWatch log groups that the key encrypts; * at the end for any."
  type        = list(string)
  default     = []
}

data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}
data "aws_region" "current" {}

locals {
  account   = data.aws_caller_identity.current.account_id
  partition = data.aws_partition.current.partition
  region    = data.aws_region.current.name
}

resource "aws_kms_key" "this" {
  description             = var.description
  enable_key_rotation     = true
  deletion_window_in_days = 30 # what it encrypted cannot be read without it: the longest time to change one's mind
  policy                  = data.aws_iam_policy_document.this.json
}

resource "aws_kms_alias" "this" {
  name          = "alias/${var.name}"
  target_key_id = aws_kms_key.this.key_id
}

data "aws_iam_policy_document" "this" {
  # checkov:skip=CKV_AWS_109:in a key's policy the resource is always this one key
  # checkov:skip=CKV_AWS_111:in a key's policy the resource is always this one key
  # checkov:skip=CKV_AWS_356:in a key's policy the resource is always this one key

  statement {
    # Without it nobody could change the key again. It gives nobody anything by itself: IAM policies of this account do.
    sid       = "PoliciesOfThisAccount"
    actions   = ["kms:*"]
    resources = ["*"]
    principals {
      type        = "AWS"
      identifiers = ["arn:${local.partition}:iam::${local.account}:root"]
    }
  }

  dynamic "statement" {
    for_each = length(var.log_groups) > 0 ? [1] : []
    content {
      sid       = "Logs"
      actions   = ["kms:Encrypt", "kms:Decrypt", "kms:ReEncryptFrom", "kms:ReEncryptTo", "kms:GenerateDataKey", "kms:GenerateDataKeyWithoutPlaintext", "kms:DescribeKey"]
      resources = ["*"]
      principals {
        type        = "Service"
        identifiers = ["logs.${local.region}.amazonaws.com"]
      }
      condition {
        test     = "ArnLike"
        variable = "kms:EncryptionContext:aws:logs:arn"
        values   = [for name in var.log_groups : "arn:${local.partition}:logs:${local.region}:${local.account}:log-group:${name}"]
      }
    }
  }

  dynamic "statement" {
    for_each = var.readers == null ? [] : [var.readers]
    content {
      sid       = "ReadersDecryptInS3"
      actions   = ["kms:Decrypt"]
      resources = ["*"]
      principals {
        type        = "AWS"
        identifiers = ["arn:${local.partition}:iam::${statement.value.account_id}:root"]
      }
      condition {
        test     = "ArnLike"
        variable = "aws:PrincipalArn"
        values   = statement.value.principal_arns
      }
      condition {
        test     = "StringEquals"
        variable = "kms:ViaService"
        values   = ["s3.${local.region}.amazonaws.com"]
      }
    }
  }

  dynamic "statement" {
    for_each = var.readers == null ? [] : [var.readers]
    content {
      sid       = "ReadersDescribe"
      actions   = ["kms:DescribeKey"]
      resources = ["*"]
      principals {
        type        = "AWS"
        identifiers = ["arn:${local.partition}:iam::${statement.value.account_id}:root"]
      }
      condition {
        test     = "ArnLike"
        variable = "aws:PrincipalArn"
        values   = statement.value.principal_arns
      }
    }
  }
}

output "arn" {
  description = "The key's ARN. Across accounts an alias does not work."
  value       = aws_kms_key.this.arn
}
