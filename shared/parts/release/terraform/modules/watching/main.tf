# What a model in use answers, as metrics without texts, and whether that is like what it was trained with. Two functions
# from one archive: `watch` makes metrics of the lines that an endpoint's containers write (where there are such), `drift`
# compares the metrics of the last days with the profile of the training data, when a schedule calls it.

terraform {
  required_version = ">= 1.10"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 5.100"
    }
  }
}

data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}
data "aws_region" "current" {}

locals {
  account   = data.aws_caller_identity.current.account_id
  partition = data.aws_partition.current.partition
  region    = data.aws_region.current.name

  name = var.watched.name

  function_settings = {
    watch = {
      description = "Makes metrics of what the models of ${local.name} say about their answers"
      handler     = "watching.count.handler"
      timeout     = 60 # seconds
      variables = {
        NAME          = local.name
        MODEL_VERSION = try(var.model.version, "")
      }
    }
    drift = {
      description = "Compares what ${local.name} has answered lately with its model's training data"
      handler     = "watching.check.handler"
      timeout     = 120
      variables = {
        NAME                    = local.name
        DAYS                    = tostring(var.settings.days)
        TEXTS                   = tostring(var.settings.texts)
        LIMIT                   = tostring(var.settings.drift)
        MODEL_VERSION           = try(var.model.version, "")
        MODEL_DATA_URL          = try(var.model.data_url, "")
        MODEL_PACKAGE_GROUP_ARN = try(var.registry.group_arn, "")
        ONLY_TARGET             = var.only_target
      }
    }
  }

  functions = {
    for name in var.log_group == null ? ["drift"] : ["drift", "watch"] :
    name => "${var.watched.slug}-${name}-${var.watched.environment}"
  }
}

resource "aws_lambda_function" "this" {
  # checkov:skip=CKV_AWS_50:a trace would add nothing to its log
  # checkov:skip=CKV_AWS_115:called by one schedule and by one log group, which sends its lines in batches
  # checkov:skip=CKV_AWS_116:what it did not count is in the log that it read, and an alarm says so
  # checkov:skip=CKV_AWS_117:talks to AWS only
  # checkov:skip=CKV_AWS_173:its environment holds names, no secret
  # checkov:skip=CKV_AWS_272:the code comes from the build
  for_each = local.functions

  function_name    = each.value
  description      = local.function_settings[each.key].description
  role             = module.role[each.key].arn
  runtime          = "python3.12"
  architectures    = ["x86_64"]
  handler          = local.function_settings[each.key].handler
  filename         = var.code.file
  source_code_hash = var.code.sha256
  timeout          = local.function_settings[each.key].timeout
  memory_size      = 256 # MB

  environment {
    variables = local.function_settings[each.key].variables
  }

  # As text: CloudWatch makes metrics of a line that is a metric document by itself, and of nothing that is wrapped.
  logging_config {
    log_format = "Text"
    log_group  = aws_cloudwatch_log_group.this[each.key].name
  }
}

resource "aws_cloudwatch_log_group" "this" {
  # checkov:skip=CKV_AWS_338:how long logs are kept is the foundation's setting
  for_each = local.functions

  name              = "/aws/lambda/${each.value}"
  retention_in_days = var.foundation.log_retention_days
  kms_key_id        = var.foundation.kms_key_arn
}

# The lines with the marker, and no others: what else the containers write is nobody's business here.
resource "aws_cloudwatch_log_subscription_filter" "this" {
  count = var.log_group == null ? 0 : 1

  name            = local.functions["watch"]
  log_group_name  = var.log_group.name
  filter_pattern  = "\"mlops-watch\""
  destination_arn = aws_lambda_function.this["watch"].arn

  depends_on = [aws_lambda_permission.logs] # CloudWatch tries whether it may
}

resource "aws_lambda_permission" "logs" {
  count = var.log_group == null ? 0 : 1

  statement_id_prefix = "Logs-" # of a fixed name, one that an interrupted deployment has left would be in the way
  action              = "lambda:InvokeFunction"
  function_name       = aws_lambda_function.this["watch"].function_name
  principal           = "logs.amazonaws.com"
  source_account      = local.account
  source_arn          = "${var.log_group.arn}:*"
}

resource "aws_cloudwatch_event_rule" "this" {
  name                = local.functions["drift"]
  description         = "When ${local.name} is compared with its training data"
  schedule_expression = var.settings.schedule
}

resource "aws_cloudwatch_event_target" "this" {
  rule      = aws_cloudwatch_event_rule.this.name
  target_id = "function"
  arn       = aws_lambda_function.this["drift"].arn
}

resource "aws_lambda_permission" "events" {
  statement_id_prefix = "Schedule-"
  action              = "lambda:InvokeFunction"
  function_name       = aws_lambda_function.this["drift"].function_name
  principal           = "events.amazonaws.com"
  source_arn          = aws_cloudwatch_event_rule.this.arn
}

# What the functions act as. Neither puts a metric: CloudWatch takes those from their logs.
module "role" {
  source   = "../service-role"
  for_each = local.functions

  name                     = "${var.watched.slug}-${var.watched.environment}-${each.key}"
  path                     = var.foundation.service_role_path
  description              = "The function ${each.value}"
  service                  = "lambda.amazonaws.com"
  policy                   = data.aws_iam_policy_document.function[each.key].json
  permissions_boundary_arn = var.foundation.permissions_boundary_arn
}

data "aws_iam_policy_document" "function" {
  for_each = local.functions

  source_policy_documents = each.key == "drift" ? [data.aws_iam_policy_document.drift.json] : []

  statement {
    sid       = "WriteLog" # every instance of the function writes a stream of its own
    actions   = ["logs:CreateLogStream", "logs:PutLogEvents"]
    resources = ["${aws_cloudwatch_log_group.this[each.key].arn}:*"]
  }
}

data "aws_iam_policy_document" "drift" {
  statement {
    sid       = "ReadMetrics" # resource *: metrics have no ARN, and reading takes no condition on their namespace
    actions   = ["cloudwatch:GetMetricData"]
    resources = ["*"]
  }

  statement {
    sid       = "ReadProfiles" # what training has left beside its model, not the model
    actions   = ["s3:GetObject"]
    resources = ["${var.models.bucket_arn}/${var.models.profiles}"]
  }

  statement {
    # key/*: which key the bucket has is known in the registry's account alone. Only by S3, only for those objects.
    sid       = "DecryptProfiles"
    actions   = ["kms:Decrypt"]
    resources = ["arn:${local.partition}:kms:${local.region}:${var.models.account}:key/*"]
    condition {
      test     = "StringEquals"
      variable = "kms:ViaService"
      values   = ["s3.${local.region}.amazonaws.com"]
    }
    condition {
      test     = "ArnLike"
      variable = "kms:EncryptionContext:aws:s3:arn"
      values   = [var.models.bucket_arn, "${var.models.bucket_arn}/${var.models.profiles}"] # the first with a bucket key
    }
  }

  dynamic "statement" {
    for_each = var.registry == null ? [] : [var.registry]
    content {
      sid       = "FindNewestApprovedModel" # from another account the group's own policy decides as well
      actions   = ["sagemaker:DescribeModelPackage", "sagemaker:ListModelPackages"]
      resources = [statement.value.group_arn, statement.value.versions_arn]
    }
  }
}

output "widgets" {
  description = "What a dashboard draws of it: four rows of two graphs, from `first_row` on."
  value       = local.widgets
}
