# What people are told: a sentence for each event that a pattern lets through.

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
  description = "What the names of the rules begin with."
  type        = string
}

variable "suffix" {
  description = "What the names of the rules end with."
  type        = string
  default     = ""
}

variable "notices" {
  description = "Rule's name -> the event pattern as JSON, the values that the text takes from the event (JSONPath), and the text, with <value> where one goes."
  type = map(object({
    pattern = string
    values  = map(string)
    text    = string
  }))
}

variable "topic_arn" {
  description = "The SNS topic that is told."
  type        = string
}

variable "undelivered_queue_arn" {
  description = "The SQS queue for what the topic does not take."
  type        = string
}

resource "aws_cloudwatch_event_rule" "this" {
  for_each = var.notices

  name          = "${var.name}-${each.key}${var.suffix}"
  description   = "Tells people by ${element(split(":", var.topic_arn), 5)}"
  event_pattern = each.value.pattern
}

resource "aws_cloudwatch_event_target" "this" {
  for_each = var.notices

  rule      = aws_cloudwatch_event_rule.this[each.key].name
  target_id = "topic"
  arn       = var.topic_arn

  input_transformer {
    input_paths = each.value.values
    # A JSON text. Not jsonencode: it writes < and > as escapes, which EventBridge does not take for its placeholders.
    input_template = "\"${replace(each.value.text, "\"", "\\\"")}\""
  }

  dead_letter_config {
    arn = var.undelivered_queue_arn
  }
}
