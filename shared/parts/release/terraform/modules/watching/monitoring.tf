# What people are shown and told of.

# Which targets and labels there are, and which versions have answered, the metrics themselves say: a search draws those
# that it finds.
locals {
  namespace = "MLOps/Watching"

  # title, what the axis counts, which dimensions and metric a search goes through, the statistic, and a line to stay under
  graphs = [
    { title = "Texts", axis = "texts in an hour", dimensions = "Name,Version", metric = "Texts", statistic = "Sum", stacked = true, limit = null },
    { title = "Labels", axis = "answers in an hour", dimensions = "Name,Version,Target,Label", metric = "Answers", statistic = "Sum", stacked = true, limit = null },
    { title = "Confidence", axis = "mean, of 1", dimensions = "Name,Version,Target", metric = "Confidence", statistic = "Average", stacked = false, limit = null },
    { title = "A person should look at", axis = "answers in an hour", dimensions = "Name,Version,Target", metric = "NeedsReview", statistic = "Sum", stacked = false, limit = null },
    { title = "Length of the texts", axis = "words, mean", dimensions = "Name,Version", metric = "Words", statistic = "Average", stacked = false, limit = null },
    { title = "Words that training did not know", axis = "percent, mean", dimensions = "Name,Version", metric = "UnknownWords", statistic = "Average", stacked = false, limit = null },
    { title = "Drift from the training data", axis = "population stability index beyond chance", dimensions = "Name,Target,Feature", metric = "Drift", statistic = "Maximum", stacked = false, limit = var.settings.drift },
  ]

  widgets = [
    for number, graph in local.graphs : {
      type   = "metric"
      x      = number % 2 * 12
      y      = var.first_row + floor(number / 2) * 6
      width  = 12
      height = 6
      properties = {
        title   = graph.title
        region  = local.region
        view    = "timeSeries"
        stacked = graph.stacked
        period  = 3600
        metrics = [[{
          expression = "SEARCH('{${local.namespace},${graph.dimensions}} Name=\"${local.name}\" MetricName=\"${graph.metric}\"', '${graph.statistic}', 3600)"
          id         = "found"
        }]]
        yAxis       = { left = { min = 0, label = graph.axis, showUnits = false } }
        annotations = { horizontal = graph.limit == null ? [] : [{ label = "alarm", value = graph.limit }] }
      }
    }
  ]
}

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
