# What starts a pipeline, what people are told, and what happens to events that could not be delivered.

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
