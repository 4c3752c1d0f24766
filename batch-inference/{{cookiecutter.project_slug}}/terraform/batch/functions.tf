# The two functions that the pipeline calls: begin chooses the model and takes the file, publish puts its answers down.

locals {
  code      = "${dirname(var.deployment)}/${local.record.functions}"
  functions = { for name in ["begin", "publish"] : name => "${local.slug}-${name}-${var.environment}" if local.record.enabled }

  function_settings = {
    begin = {
      description = "Chooses the newest approved model, and copies the file that an execution answers"
      variables = {
        BUCKET                  = local.record.bucket
        ENVIRONMENT             = var.environment
        INPUT_PREFIX            = local.settings.input.prefix
        OUTPUT_PREFIX           = local.settings.output.prefix
        FORMATS                 = join(",", local.settings.input.formats)
        OUTPUT_FORMAT           = local.settings.output.format
        OUTPUT_COMPRESSION      = local.settings.output.compression
        MODEL_PACKAGE_GROUP_ARN = local.group_arn
      }
    }
    publish = {
      description = "Puts the answers to a file where people look for them"
      variables = {
        BUCKET       = local.record.bucket
        WATCHED_NAME = local.watching == null ? "" : local.name # in metrics of the answers; empty: there are none
      }
    }
  }
}

resource "aws_lambda_function" "this" {
  # checkov:skip=CKV_AWS_50:one call for each execution, whose steps SageMaker keeps; a trace would add nothing
  # checkov:skip=CKV_AWS_115:called once for each execution, and SageMaker bounds those
  # checkov:skip=CKV_AWS_116:called synchronously; the execution fails with it
  # checkov:skip=CKV_AWS_117:talks to AWS only
  # checkov:skip=CKV_AWS_173:its environment holds names, no secret
  # checkov:skip=CKV_AWS_272:the code comes from the build, and the record holds its hash
  for_each = local.functions

  function_name    = each.value
  description      = "${local.name}: ${local.function_settings[each.key].description}"
  role             = module.function_role[each.key].arn
  runtime          = "python3.12"
  architectures    = ["x86_64"]
  handler          = "${each.key}.handler"
  filename         = local.code
  source_code_hash = local.record.functions_sha256
  timeout          = 600 # seconds; SageMaker waits no longer for a Lambda step
  memory_size      = 512 # MB; files are copied within S3, not through the function

  environment {
    variables = local.function_settings[each.key].variables
  }

  logging_config {
    log_format = "Text"
    log_group  = aws_cloudwatch_log_group.function[each.key].name
  }

  lifecycle {
    precondition {
      condition     = fileexists(local.code) ? filebase64sha256(local.code) == local.record.functions_sha256 : false
      error_message = "${local.code}: expected the file whose SHA-256 the record names (functions_sha256), got ${fileexists(local.code) ? "another" : "none"}"
    }
  }
}

resource "aws_cloudwatch_log_group" "function" {
  # checkov:skip=CKV_AWS_338:how long logs are kept is the foundation's setting
  for_each = local.functions

  name              = "/aws/lambda/${each.value}"
  retention_in_days = local.foundation.log_retention_days
  kms_key_id        = local.kms_key_arn
}

resource "aws_cloudwatch_metric_alarm" "function_errors" {
  for_each = local.functions

  alarm_name          = "${each.value}-errors"
  alarm_description   = "The function ${each.value} ended with an error, and the execution that called it with it. What it says is in the log ${aws_cloudwatch_log_group.function[each.key].name}"
  namespace           = "AWS/Lambda"
  metric_name         = "Errors"
  dimensions          = { FunctionName = each.value }
  statistic           = "Sum"
  period              = 300
  evaluation_periods  = 1
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  treat_missing_data  = "notBreaching" # a function that nobody calls reports nothing
  alarm_actions       = [local.topic]
}
