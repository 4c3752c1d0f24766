terraform {
  required_version = ">= 1.10"
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 5.100"
    }
  }
}

provider "aws" {
  region = "ca-central-1"
}

variable "threshold" {
  description = "Errors in percent of requests."
  type        = number
  default     = 1
}

locals {
  dimensions = { EndpointName = "e", VariantName = "AllTraffic" }
}

resource "aws_sns_topic" "people" {
  name = "alarms-people"
}

resource "aws_cloudwatch_metric_alarm" "latency" {
  alarm_name          = "e-latency"
  alarm_description   = "Requests take long"
  namespace           = "AWS/SageMaker"
  metric_name         = "ModelLatency"
  dimensions          = local.dimensions
  extended_statistic  = "p95"
  period              = 300
  evaluation_periods  = 3
  datapoints_to_alarm = 2
  comparison_operator = "GreaterThanThreshold"
  threshold           = 2000000
  treat_missing_data  = "notBreaching"
  alarm_actions       = [aws_sns_topic.people.arn]
  ok_actions          = [aws_sns_topic.people.arn]
}

resource "aws_cloudwatch_metric_alarm" "errors" {
  alarm_name          = "e-errors"
  alarm_description   = "Requests fail"
  evaluation_periods  = 1
  comparison_operator = "GreaterThanThreshold"
  threshold           = var.threshold
  treat_missing_data  = "notBreaching"
  alarm_actions       = [aws_sns_topic.people.arn]
  ok_actions          = [aws_sns_topic.people.arn]

  metric_query {
    id          = "percent"
    expression  = "100 * (FILL(client, 0) + FILL(server, 0)) / requests"
    label       = "errors in percent of requests"
    return_data = true
  }

  dynamic "metric_query" {
    for_each = { requests = "Invocations", client = "Invocation4XXErrors", server = "Invocation5XXErrors" }

    content {
      id = metric_query.key

      metric {
        namespace   = "AWS/SageMaker"
        metric_name = metric_query.value
        dimensions  = local.dimensions
        period      = 300
        stat        = "Sum"
      }
    }
  }
}

resource "aws_cloudwatch_dashboard" "this" {
  dashboard_name = "e"

  dashboard_body = jsonencode({
    widgets = [
      {
        type   = "text"
        x      = 0
        y      = 0
        width  = 24
        height = 2
        properties = {
          markdown = "# e, errors above ${var.threshold} %"
        }
      },
    ]
  })
}
