# A KMS key that the account's administrators keep hold of, and that the named services may use for this account.

terraform {
  required_version = ">= 1.10"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 5.100"
    }
  }
}

variable "alias" {
  description = "The key's alias, without `alias/`."
  type        = string
}

variable "description" {
  description = "What the key is for."
  type        = string
}

variable "services" {
  description = "Service principals that use the key on behalf of this account and name the account when they do."
  type        = list(string)
}

data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}
data "aws_region" "current" {}

locals {
  account_id = data.aws_caller_identity.current.account_id
  partition  = data.aws_partition.current.partition
  region     = data.aws_region.current.name
}

resource "aws_kms_key" "this" {
  description             = var.description
  deletion_window_in_days = 30
  enable_key_rotation     = true
  policy                  = data.aws_iam_policy_document.this.json

  lifecycle {
    # Without the key, everything that it encrypted is lost.
    prevent_destroy = true
  }
}

resource "aws_kms_alias" "this" {
  name          = "alias/${var.alias}"
  target_key_id = aws_kms_key.this.key_id
}

data "aws_iam_policy_document" "this" {
  #checkov:skip=CKV_AWS_109:a key policy without the account's root could lock everybody out
  #checkov:skip=CKV_AWS_111:a key policy is about its own key, whatever its resource says
  #checkov:skip=CKV_AWS_356:a key policy is about its own key, whatever its resource says

  # The usual first statement: the account decides by IAM policies who uses and who administers the key. Without it a
  # key can become one that nobody can change. In a key policy the resource "*" is this key.
  statement {
    sid       = "TheAccountDecides"
    actions   = ["kms:*"]
    resources = ["*"]

    principals {
      type        = "AWS"
      identifiers = ["arn:${local.partition}:iam::${local.account_id}:root"]
    }
  }

  statement {
    sid       = "ServicesOfThisAccount"
    actions   = ["kms:Decrypt", "kms:GenerateDataKey*"]
    resources = ["*"]

    principals {
      type        = "Service"
      identifiers = var.services
    }

    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [local.account_id]
    }
  }

  # EventBridge does not say on whose behalf it publishes to an encrypted topic: with the condition above its
  # notifications would be lost without a trace. What it can do with this is publish to a topic that admits it.
  statement {
    sid       = "EventsToAnEncryptedTopic"
    actions   = ["kms:Decrypt", "kms:GenerateDataKey*"]
    resources = ["*"]

    principals {
      type        = "Service"
      identifiers = ["events.amazonaws.com"]
    }
  }

  statement {
    sid       = "LogGroupsOfThisAccount"
    actions   = ["kms:Encrypt", "kms:Decrypt", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:DescribeKey"]
    resources = ["*"]

    principals {
      type        = "Service"
      identifiers = ["logs.${local.region}.amazonaws.com"]
    }

    condition {
      test     = "ArnLike"
      variable = "kms:EncryptionContext:aws:logs:arn"
      values   = ["arn:${local.partition}:logs:${local.region}:${local.account_id}:log-group:*"]
    }
  }
}

output "arn" {
  description = "The key's ARN; across accounts this is used, never the alias."
  value       = aws_kms_key.this.arn
}

output "alias" {
  description = "The key's alias, with `alias/`."
  value       = aws_kms_alias.this.name
}
