# What people are told of. Metric names and units are those that SageMaker publishes for serverless endpoints [read,
# "Alarms and logs for tracking metrics from serverless endpoints"]; an endpoint that nobody asks publishes nothing.

locals {
  dimensions = { EndpointName = local.name, VariantName = local.variant }
  alarms     = local.settings.alarms

  # name -> one metric and its limit; how many of how many periods (in seconds) have to be beyond it
  metric_alarms = {
    latency = {
      description = "The slowest 5 % of the requests kept the model longer than ${local.alarms.latency_p95_ms} ms, ten minutes out of fifteen. Cold starts are not in this figure."
      metric      = "ModelLatency" # microseconds
      statistic   = null
      percentile  = "p95"
      beyond      = "GreaterThanThreshold"
      threshold   = local.alarms.latency_p95_ms * 1000
      period      = 300
      periods     = [2, 3]
    }
    concurrency = {
      description = "More than ${local.alarms.concurrency_percent} % of max_concurrency (${local.settings.max_concurrency}) was in use, ten minutes out of fifteen. Beyond it requests are refused: raise max_concurrency in config/endpoint.yaml."
      metric      = "ServerlessConcurrentExecutionsUtilization" # of 1
      statistic   = "Maximum"
      percentile  = null
      beyond      = "GreaterThanThreshold"
      threshold   = local.alarms.concurrency_percent / 100
      period      = 300
      periods     = [2, 3]
    }
    throttles = {
      # A refused request reaches no model, and no metric counts it. That all of max_concurrency is in use is what shows.
      description = "All of max_concurrency (${local.settings.max_concurrency}) was in use, so that further requests were refused (ThrottlingException), in more than ${local.allowed_minutes} of five minutes: raise max_concurrency in config/endpoint.yaml."
      metric      = "ServerlessConcurrentExecutionsUtilization"
      statistic   = "Maximum"
      percentile  = null
      beyond      = "GreaterThanOrEqualToThreshold"
      threshold   = 1
      period      = 60
      periods     = [local.allowed_minutes + 1, 5]
    }
  }

  allowed_minutes = min(local.alarms.throttles, 4)
}

resource "aws_cloudwatch_metric_alarm" "metric" {
  for_each = local.has_model ? local.metric_alarms : {}

  alarm_name          = "${local.name}-${each.key}"
  alarm_description   = "${each.value.description} ${local.where}"
  namespace           = "AWS/SageMaker"
  metric_name         = each.value.metric
  dimensions          = local.dimensions
  statistic           = each.value.statistic
  extended_statistic  = each.value.percentile
  period              = each.value.period
  datapoints_to_alarm = each.value.periods[0]
  evaluation_periods  = each.value.periods[1]
  comparison_operator = each.value.beyond
  threshold           = each.value.threshold
  treat_missing_data  = "notBreaching"
  alarm_actions       = [local.topic]
  ok_actions          = [local.topic]
}

resource "aws_cloudwatch_metric_alarm" "errors" {
  count = local.has_model ? 1 : 0

  alarm_name          = "${local.name}-errors"
  alarm_description   = "More than ${local.alarms.error_percent} % of the requests of five minutes were answered with an error. What inference.py raised is in the log ${aws_cloudwatch_log_group.this.name}. ${local.where}"
  evaluation_periods  = 1
  comparison_operator = "GreaterThanThreshold"
  threshold           = local.alarms.error_percent
  treat_missing_data  = "notBreaching"
  alarm_actions       = [local.topic]
  ok_actions          = [local.topic]

  metric_query {
    id          = "percent"
    expression  = "100 * (FILL(client, 0) + FILL(server, 0)) / requests"
    label       = "errors in percent of requests"
    return_data = true
  }

  dynamic "metric_query" {
    # 4xx too: the inference container answers every exception of inference.py with 400
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

locals {
  where = "Dashboard: ${local.dashboard_url}"
}
