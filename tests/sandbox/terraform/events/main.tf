# One of everything that the templates use of events, queues, functions and notifications. The test asks that
# a second plan is empty: the sandbox returns what it was given.

terraform {
  required_version = ">= 1.10"
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 5.100"
    }
  }
}

variable "code" {
  description = "Path of the function's zip."
  type        = string
}

variable "memory" {
  description = "Memory of the function, in MB. A second apply changes it."
  type        = number
  default     = 128
}

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

resource "aws_sqs_queue" "dead" {
  name                      = "events-dead-letters"
  message_retention_seconds = 1209600
  kms_master_key_id         = aws_kms_key.this.arn
}

resource "aws_sqs_queue" "work" {
  name                       = "events-work"
  visibility_timeout_seconds = 60
  kms_master_key_id          = aws_kms_key.this.arn
  redrive_policy = jsonencode({
    deadLetterTargetArn = aws_sqs_queue.dead.arn
    maxReceiveCount     = 3
  })
}

resource "aws_sqs_queue_redrive_allow_policy" "dead" {
  queue_url = aws_sqs_queue.dead.id
  redrive_allow_policy = jsonencode({
    redrivePermission = "byQueue"
    sourceQueueArns   = [aws_sqs_queue.work.arn]
  })
}

resource "aws_sqs_queue_policy" "this" {
  for_each  = { work = aws_sqs_queue.work, dead = aws_sqs_queue.dead }
  queue_url = each.value.id
  policy    = data.aws_iam_policy_document.queue[each.key].json
}

data "aws_iam_policy_document" "queue" {
  for_each = { work = aws_sqs_queue.work.arn, dead = aws_sqs_queue.dead.arn }
  statement {
    actions   = ["sqs:SendMessage"]
    resources = [each.value]
    principals {
      type        = "Service"
      identifiers = ["events.amazonaws.com"]
    }
    condition {
      test     = "ArnEquals"
      variable = "aws:SourceArn"
      values   = [aws_cloudwatch_event_rule.objects.arn]
    }
  }
}

output "endpoint" {
  description = "Address of the HTTP API."
  value       = aws_apigatewayv2_api.this.api_endpoint
}

output "queue_url" {
  description = "The queue that the function reads."
  value       = aws_sqs_queue.work.url
}

output "bucket" {
  description = "The bucket whose new objects are put on the queue."
  value       = aws_s3_bucket.this.id
}
