# What starts a pipeline, what people are told, and what happens to events that could not be delivered.

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
  description = "The pipeline's name; the names of rules, queue, alarm and role begin with it."
  type        = string
}

variable "pipeline_arn" {
  description = "The CodePipeline that the events start."
  type        = string
}

variable "source_object" {
  description = "The archive that the pipeline takes its source from: it starts when this is written; null where it takes none from S3."
  type = object({
    bucket = string
    key    = string
  })
  default = null
}

variable "start_on" {
  description = "What starts the pipeline besides: rule's name -> event pattern as JSON."
  type        = map(string)
  default     = {}
}

variable "schedule" {
  description = "When to start the pipeline besides: cron(...) or rate(...), in UTC; null for never."
  type        = string
  default     = null
}

variable "failure" {
  description = "What an execution that failed has not done: the beginning of what people are then told."
  type        = string
}

variable "notices" {
  description = "What people are told besides: rule's name -> the event pattern as JSON, the values that the text takes from the event (JSONPath), and the text, with <value> where one goes."
  type = map(object({
    pattern = string
    values  = map(string)
    text    = string
  }))
  default = {}
}

variable "topic_arn" {
  description = "The SNS topic that notices and alarms go to."
  type        = string
}

variable "permissions_boundary_arn" {
  description = "The policy that bounds every role of the organisation; null for none."
  type        = string
  default     = null
}

data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}
data "aws_region" "current" {}

locals {
  start_on = merge(var.start_on, var.source_object == null ? {} : {
    source = jsonencode({
      source      = ["aws.s3"]
      detail-type = ["Object Created"]
      detail = {
        bucket = { name = [var.source_object.bucket] }
        object = { key = [var.source_object.key] }
      }
    })
  })

  console = "https://${data.aws_region.current.name}.console.aws.amazon.com/codesuite/codepipeline/pipelines/${var.name}"
  notices = merge(var.notices, {
    delivery-failed = {
      pattern = jsonencode({
        source      = ["aws.codepipeline"]
        detail-type = ["CodePipeline Pipeline Execution State Change"]
        detail      = { pipeline = [var.name], state = ["FAILED"] }
      })
      values = { execution = "$.detail.execution-id" }
      text   = "${var.name}: ${var.failure} (execution <execution>). Which action failed, and its log: ${local.console}/executions/<execution>/timeline?region=${data.aws_region.current.name}"
    }
  })

  # fixed names, so that the role's and the queue's policies need not wait for the rules
  rules_arn   = "arn:${data.aws_partition.current.partition}:events:${data.aws_region.current.name}:${data.aws_caller_identity.current.account_id}:rule"
  start_rules = [for rule in concat(keys(local.start_on), var.schedule == null ? [] : ["schedule"]) : "${local.rules_arn}/${var.name}-${rule}"]
  all_rules   = concat(local.start_rules, [for rule in keys(local.notices) : "${local.rules_arn}/${var.name}-${rule}"])
}

resource "aws_cloudwatch_event_rule" "start" {
  for_each = local.start_on

  name          = "${var.name}-${each.key}"
  description   = "Starts the pipeline ${var.name}"
  event_pattern = each.value
}

resource "aws_cloudwatch_event_target" "start" {
  for_each = local.start_on

  rule      = aws_cloudwatch_event_rule.start[each.key].name
  target_id = "pipeline"
  arn       = var.pipeline_arn
  role_arn  = module.role.arn

  dead_letter_config {
    arn = module.undelivered.arn
  }
}

resource "aws_cloudwatch_event_rule" "schedule" {
  count = var.schedule == null ? 0 : 1

  name                = "${var.name}-schedule"
  description         = "Starts the pipeline ${var.name} at set times"
  schedule_expression = var.schedule
}

resource "aws_cloudwatch_event_target" "schedule" {
  count = var.schedule == null ? 0 : 1

  rule      = aws_cloudwatch_event_rule.schedule[0].name
  target_id = "pipeline"
  arn       = var.pipeline_arn
  role_arn  = module.role.arn

  dead_letter_config {
    arn = module.undelivered.arn
  }
}

module "notices" {
  source = "../notices"

  name                  = var.name
  notices               = local.notices
  topic_arn             = var.topic_arn
  undelivered_queue_arn = module.undelivered.arn
}

module "undelivered" {
  source = "../undelivered"

  # SQS's own key: events of deliveries hold no secrets, and not every key lets EventBridge in
  name      = "${var.name}-undelivered-events"
  meaning   = "An event could not start the pipeline ${var.name}, or could not be told to people."
  rule_arns = local.all_rules
  topic_arn = var.topic_arn
}

module "role" {
  source = "../service-role"

  name                     = "${var.name}-events"
  description              = "EventBridge starts the pipeline ${var.name}"
  service                  = "events.amazonaws.com"
  source_arns              = local.start_rules
  policy                   = data.aws_iam_policy_document.role.json
  permissions_boundary_arn = var.permissions_boundary_arn
}

data "aws_iam_policy_document" "role" {
  statement {
    sid       = "StartPipeline"
    actions   = ["codepipeline:StartPipelineExecution"]
    resources = [var.pipeline_arn]
  }
}

output "undelivered_queue_url" {
  description = "The queue with events that could not be delivered."
  value       = module.undelivered.url
}

output "role_arn" {
  description = "The role that starts the pipeline."
  value       = module.role.arn
}

# Queue and notices were once made here; a repository that has them keeps them.
moved {
  from = aws_sqs_queue.undelivered
  to   = module.undelivered.aws_sqs_queue.this
}

moved {
  from = aws_sqs_queue_policy.undelivered
  to   = module.undelivered.aws_sqs_queue_policy.this
}

moved {
  from = aws_cloudwatch_metric_alarm.undelivered
  to   = module.undelivered.aws_cloudwatch_metric_alarm.this
}

moved {
  from = aws_cloudwatch_event_rule.notice
  to   = module.notices.aws_cloudwatch_event_rule.this
}

moved {
  from = aws_cloudwatch_event_target.notice
  to   = module.notices.aws_cloudwatch_event_target.this
}
