# What people are told of. Metric names and units are those that SageMaker publishes for serverless endpoints [read,
# "Alarms and logs for tracking metrics from serverless endpoints"]; an endpoint that nobody asks publishes nothing.

locals {
  dimensions = { EndpointName = local.name, VariantName = local.variant }
  alarms     = local.settings.alarms

  # name -> one metric that has a limit
  metric_alarms = {
    latency = {
      description = "The model took more than ${local.alarms.latency_p95_ms} ms for 5 of 100 requests, ten minutes out of fifteen. Cold starts are not in this figure."
      metric      = "ModelLatency" # microseconds
      statistic   = null
      percentile  = "p95"
      threshold   = local.alarms.latency_p95_ms * 1000
      datapoints  = 2
    }
    concurrency = {
      description = "More than ${local.alarms.concurrency_percent} % of max_concurrency (${local.settings.max_concurrency}) was in use, ten minutes out of fifteen. Beyond it requests are refused: raise max_concurrency in config/endpoint.yaml."
      metric      = "ServerlessConcurrentExecutionsUtilization" # of 1
      statistic   = "Maximum"
      percentile  = null
      threshold   = local.alarms.concurrency_percent / 100
      datapoints  = 2
    }
    throttles = {
      # SageMaker has no metric of its own for requests that it refuses
      description = "More than ${local.alarms.throttles} requests in five minutes were answered with a 4xx status: refused for want of concurrency (see ${local.name}-concurrency), or not understood by the model."
      metric      = "Invocation4XXErrors"
      statistic   = "Sum"
      percentile  = null
      threshold   = local.alarms.throttles
      datapoints  = 1
    }
  }
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
  period              = 300
  evaluation_periods  = each.value.datapoints == 1 ? 1 : 3
  datapoints_to_alarm = each.value.datapoints
  comparison_operator = "GreaterThanThreshold"
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
