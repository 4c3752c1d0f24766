# What the endpoint answers, without the texts: its containers write counts into its log, one function makes metrics of
# them, another compares these with what the live model was trained with.

locals {
  # A record of before there was watching has no such settings.
  watching = local.has_model ? try(local.settings.watching, null) : null
  code     = "${dirname(var.deployment)}/watching.zip"

  # s3://bucket/folders/model.tar.gz -> folders/output.tar.gz: what training left beside its model
  profile = local.has_model ? "${replace(local.model.data_url, "/^s3:\\/\\/[^\\/]+\\/|\\/[^\\/]+$/", "")}/output.tar.gz" : null
}

module "watching" {
  source = "../modules/watching"
  count  = local.watching == null ? 0 : 1

  watched    = { slug = local.project.slug, environment = var.environment, name = local.name }
  foundation = local.foundation
  settings   = local.watching
  code       = { file = local.code, sha256 = filebase64sha256(local.code) }
  log_group  = { name = aws_cloudwatch_log_group.this.name, arn = aws_cloudwatch_log_group.this.arn }
  model      = { version = tostring(local.model.package_version), data_url = local.model.data_url }
  models = {
    bucket_arn = local.bucket_arn
    account    = local.registry_account
    profiles   = local.profile
  }
  dashboard_url = local.dashboard_url
  first_row     = 2 + ceil(length(local.graphs) / 2) * 6
}

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
