# One page for whoever an alarm has woken.

locals {
  dashboard_name = "${local.project.slug}-${var.environment}"
  dashboard_url  = "https://${local.region}.console.aws.amazon.com/cloudwatch/home?region=${local.region}#dashboards/dashboard/${local.dashboard_name}"

  # one graph a row of this list: title, what the axis counts, the metrics as [name, statistic, label], a line to stay under
  graphs = [
    {
      title   = "Requests"
      axis    = "requests in a minute"
      metrics = [["Invocations", "Sum", "requests"]]
      limit   = null
    },
    {
      title   = "Errors"
      axis    = "requests in a minute"
      metrics = [["Invocation4XXErrors", "Sum", "4xx: raised by inference.py"], ["Invocation5XXErrors", "Sum", "5xx"]]
      limit   = null
    },
    {
      title   = "Latency of the model"
      axis    = "microseconds"
      metrics = [["ModelLatency", "p50", "median"], ["ModelLatency", "p95", "p95"]]
      limit   = local.settings.alarms.latency_p95_ms * 1000
    },
    {
      title   = "Cold starts"
      axis    = "microseconds"
      metrics = [["OverheadLatency", "p50", "overhead, median"], ["OverheadLatency", "Maximum", "overhead, longest"], ["ModelSetupTime", "Maximum", "start of a container, longest"]]
      limit   = null
    },
    {
      title = "Concurrency in use"
      axis  = "of 1"
      metrics = concat(
        [["ServerlessConcurrentExecutionsUtilization", "Maximum", "of max_concurrency"]],
        local.provisioned == null ? [] : [
          ["ServerlessProvisionedConcurrencyUtilization", "Maximum", "of provisioned concurrency"],
        ],
      )
      limit = local.settings.alarms.concurrency_percent / 100
    },
    {
      title   = "Memory in use"
      axis    = "percent of ${local.settings.memory_mb} MB"
      metrics = [["MemoryUtilization", "Maximum", "memory"]]
      limit   = null
    },
  ]
}

resource "aws_cloudwatch_dashboard" "this" {
  dashboard_name = local.dashboard_name

  dashboard_body = jsonencode({
    widgets = concat(
      [{
        type = "text", x = 0, y = 0, width = 24, height = 2
        properties = {
          markdown = "# ${local.name}\n${local.has_model ? "${local.model.group} version ${local.model.package_version}" : "No endpoint."} Log: ${aws_cloudwatch_log_group.this.name}"
        }
      }],
      [for number, graph in local.graphs : {
        type   = "metric"
        x      = number % 2 * 12
        y      = 2 + floor(number / 2) * 6
        width  = 12
        height = 6
        properties = {
          title  = graph.title
          region = local.region
          view   = "timeSeries"
          period = 60
          metrics = [for metric in graph.metrics : [
            metric[0] == "MemoryUtilization" ? "/aws/sagemaker/Endpoints" : "AWS/SageMaker", metric[0],
            "EndpointName", local.name, "VariantName", local.variant, { stat = metric[1], label = metric[2] },
          ]]
          yAxis       = { left = { min = 0, label = graph.axis, showUnits = false } }
          annotations = { horizontal = graph.limit == null ? [] : [{ label = "alarm", value = graph.limit }] }
        }
      }],
      flatten(module.watching[*].widgets),
    )
  })
}
