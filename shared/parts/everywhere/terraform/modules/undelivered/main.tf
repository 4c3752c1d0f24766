# Events that EventBridge could not deliver wait here for two weeks; the alarm says so.

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
  description = "The name of the queue and of its alarm."
  type        = string
}

variable "meaning" {
  description = "What it means that an event lies there: the beginning of what the alarm says."
  type        = string
}

variable "rule_arns" {
  description = "The rules whose events it takes."
  type        = list(string)
}

variable "topic_arn" {
  description = "The SNS topic that the alarm goes to."
  type        = string
}

variable "kms_key_arn" {
  description = "The key that encrypts the events, which must let EventBridge in; null for SQS's own."
  type        = string
  default     = null
}

resource "aws_sqs_queue" "this" {
  # checkov:skip=CKV_AWS_27:encrypted with SQS's own key where no other is given
  name                      = var.name
  message_retention_seconds = 1209600
  kms_master_key_id         = var.kms_key_arn
  sqs_managed_sse_enabled   = var.kms_key_arn == null ? true : null
}

resource "aws_sqs_queue_policy" "this" {
  queue_url = aws_sqs_queue.this.id
  policy    = data.aws_iam_policy_document.this.json
}

data "aws_iam_policy_document" "this" {
  statement {
    actions   = ["sqs:SendMessage"]
    resources = [aws_sqs_queue.this.arn]
    principals {
      type        = "Service"
      identifiers = ["events.amazonaws.com"]
    }
    condition {
      test     = "ArnEquals"
      variable = "aws:SourceArn"
      values   = var.rule_arns
    }
  }
}

resource "aws_cloudwatch_metric_alarm" "this" {
  alarm_name          = var.name
  alarm_description   = "${var.meaning} The queue ${aws_sqs_queue.this.name} holds it, with the reason as message attributes."
  namespace           = "AWS/SQS"
  metric_name         = "ApproximateNumberOfMessagesVisible"
  dimensions          = { QueueName = aws_sqs_queue.this.name }
  statistic           = "Maximum"
  period              = 300
  evaluation_periods  = 1
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  treat_missing_data  = "notBreaching" # an idle queue reports nothing
  alarm_actions       = [var.topic_arn]
}

output "arn" {
  description = "The queue's ARN, once EventBridge may send to it."
  value       = aws_sqs_queue.this.arn
  depends_on  = [aws_sqs_queue_policy.this]
}

output "url" {
  description = "The queue's URL."
  value       = aws_sqs_queue.this.id
}
