# What files are answered with, as metrics without texts: publish makes them of what the pipeline has counted. A function
# compares them with what the newest approved model was trained with.

locals {
  # A record of before there was watching has no such settings.
  watching      = local.record.enabled ? try(local.settings.watching, null) : null
  dashboard_url = "https://${local.region}.console.aws.amazon.com/cloudwatch/home?region=${local.region}#dashboards/dashboard/${local.name}"
}

module "watching" {
  source = "../modules/watching"
  count  = local.watching == null ? 0 : 1

  watched    = { slug = local.slug, environment = var.environment, name = local.name }
  foundation = local.foundation
  settings   = local.watching
  code       = { file = local.code, sha256 = local.record.functions_sha256 }
  registry   = { group_arn = local.group_arn, versions_arn = local.versions_arn }
  models = {
    bucket_arn = local.models_arn
    account    = local.registry_account
    profiles   = "models/*/output.tar.gz" # every version has a folder of its own
  }
  only_target   = "label" # what steps/counts.py calls the target of a model with one
  dashboard_url = local.dashboard_url
  first_row     = 8
}

resource "aws_cloudwatch_dashboard" "this" {
  count = local.enabled

  dashboard_name = local.name

  dashboard_body = jsonencode({
    widgets = concat(
      [
        {
          type       = "text", x = 0, y = 0, width = 24, height = 2
          properties = { markdown = "# ${local.name}\nFiles below ${local.input} of ${local.record.bucket} are answered by the newest approved version of ${local.group}." }
        },
        {
          type = "metric", x = 0, y = 2, width = 12, height = 6
          properties = {
            title  = "Files"
            region = local.region
            view   = "timeSeries"
            period = 3600
            metrics = [for name, label in { ExecutionSucceeded = "answered", ExecutionFailed = "failed" } : [
              "AWS/Sagemaker/ModelBuildingPipeline", name, "PipelineName", local.name, { stat = "Sum", label = label },
            ]]
            yAxis = { left = { min = 0, label = "executions in an hour", showUnits = false } }
          }
        },
        {
          type = "metric", x = 12, y = 2, width = 12, height = 6
          properties = {
            title  = "Errors of the functions"
            region = local.region
            view   = "timeSeries"
            period = 3600
            metrics = [for name, function in local.functions : [
              "AWS/Lambda", "Errors", "FunctionName", function, { stat = "Sum", label = name },
            ]]
            yAxis = { left = { min = 0, label = "errors in an hour", showUnits = false } }
          }
        },
      ],
      flatten(module.watching[*].widgets),
    )
  })
}
