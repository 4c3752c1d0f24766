# What people are told: a sentence for each event that a pattern lets through.

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
