# One of everything that the templates use of events, queues, functions and notifications. The test asks that
# a second plan is empty: the sandbox returns what it was given.

data "aws_caller_identity" "current" {}
data "aws_region" "current" {}

locals {
  account = data.aws_caller_identity.current.account_id
  region  = data.aws_region.current.name
}

resource "aws_kms_key" "this" {
  description             = "Queues, topics and secrets"
  enable_key_rotation     = true
  deletion_window_in_days = 7
  policy                  = data.aws_iam_policy_document.key.json
}

data "aws_iam_policy_document" "key" {
  statement {
    actions = ["kms:*"]
    # A key's policy names the key itself by "*".
    resources = ["*"]
    principals {
      type        = "AWS"
      identifiers = ["arn:aws:iam::${local.account}:root"]
    }
  }
  statement {
    actions   = ["kms:Decrypt", "kms:GenerateDataKey"]
    resources = ["*"]
    principals {
      type        = "Service"
      identifiers = ["events.amazonaws.com", "sns.amazonaws.com"]
    }
  }
}

resource "aws_secretsmanager_secret" "this" {
  name                    = "events/token"
  description             = "A secret"
  kms_key_id              = aws_kms_key.this.arn
  recovery_window_in_days = 0
}

resource "aws_ssm_parameter" "this" {
  name        = "/events/settings"
  description = "Settings"
  type        = "String"
  value       = jsonencode({ version = 1 })
}

resource "aws_s3_bucket" "this" {
  bucket        = "events-${local.account}"
  force_destroy = true
}

resource "aws_s3_bucket_notification" "this" {
  bucket      = aws_s3_bucket.this.id
  eventbridge = true
}
