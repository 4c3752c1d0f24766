# What people are told of.

resource "aws_cloudwatch_metric_alarm" "drift" {
  alarm_name          = "${local.name}-drift"
  alarm_description   = "What ${local.name} is asked or answers is no longer like its training data: drift above ${var.settings.drift} in the last ${var.settings.days} days. Which figures, and how much: make watch ARGS='--environment ${var.watched.environment}' in the repository, or the log ${aws_cloudwatch_log_group.this["drift"].name}. Dashboard: ${var.dashboard_url}"
  namespace           = "MLOps/Watching"
  metric_name         = "Drift"
  dimensions          = { Name = local.name } # the largest of all comparisons
  statistic           = "Maximum"
  period              = 300
  evaluation_periods  = 1
  comparison_operator = "GreaterThanThreshold"
  threshold           = var.settings.drift
  treat_missing_data  = "ignore" # the state stays until the next comparison that has a verdict
  alarm_actions       = [var.foundation.notifications_topic_arn]
  ok_actions          = [var.foundation.notifications_topic_arn]
}

resource "aws_cloudwatch_metric_alarm" "errors" {
  for_each = local.functions

  alarm_name          = "${each.value}-errors"
  alarm_description   = "The function ${each.value} ended with an error: ${each.key == "watch" ? "some answers are missing in the metrics" : "nothing was compared"}. What it says is in the log ${aws_cloudwatch_log_group.this[each.key].name}"
  namespace           = "AWS/Lambda"
  metric_name         = "Errors"
  dimensions          = { FunctionName = each.value }
  statistic           = "Sum"
  period              = 300
  evaluation_periods  = 1
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  treat_missing_data  = "notBreaching" # a function that nobody calls reports nothing
  alarm_actions       = [var.foundation.notifications_topic_arn]
}
