# Bitbucket Data Center: webhook -> API Gateway -> function -> queue -> function -> source bucket.

locals {
  bridge_name    = "${var.prefix}-bitbucket"
  bridge_zip     = "${path.module}/../build/bridge.zip"
  bridge_stamp   = "${path.module}/../build/bridge.sources"
  bridge_sources = "${path.module}/../bridge"
  bridge_hash    = fileexists(local.bridge_zip) ? filebase64sha256(local.bridge_zip) : null

  # The same sum as in package.py: names and contents of the Python files.
  bridge_fingerprint = sha256(join("\n", [
    for file in sort(fileset(local.bridge_sources, "**/*.py")) : "${filesha256("${local.bridge_sources}/${file}")}  ${file}"
  ]))
  bridge_is_packed = (
    fileexists(local.bridge_zip) && fileexists(local.bridge_stamp)
    ? trimspace(file(local.bridge_stamp)) == local.bridge_fingerprint : false
  )

  # Seconds. A batch of archives is fetched one after the other; SQS wants six times the function's time.
  fetch_timeout    = 300
  fetch_visibility = 6 * local.fetch_timeout

  bridge_functions = local.is_data_center ? toset(["webhook", "fetch"]) : toset([])
}

# The functions

resource "aws_lambda_function" "webhook" {
  #checkov:skip=CKV_AWS_50:one hop with a structured log line for each request; a trace would add nothing
  #checkov:skip=CKV_AWS_115:a choice of the account, var.reserved_concurrency
  #checkov:skip=CKV_AWS_116:called synchronously; Bitbucket sees the failure and the alarm tells of it
  #checkov:skip=CKV_AWS_117:talks to AWS only
  #checkov:skip=CKV_AWS_173:its environment holds names, no secret
  #checkov:skip=CKV_AWS_272:the code comes from this folder and its hash is in the plan
  count = local.is_data_center ? 1 : 0

  function_name                  = "${local.bridge_name}-webhook"
  description                    = "Checks Bitbucket's webhooks and queues what they announce"
  role                           = aws_iam_role.bridge["webhook"].arn
  runtime                        = "python3.13"
  architectures                  = ["arm64"]
  handler                        = "bridge.webhook.handler"
  filename                       = local.bridge_zip
  source_code_hash               = local.bridge_hash
  timeout                        = 25
  memory_size                    = 256
  reserved_concurrent_executions = var.reserved_concurrency.webhook

  environment {
    variables = {
      QUEUE_URL     = aws_sqs_queue.bitbucket[0].url
      SECRET_PREFIX = local.webhook_secret_prefix
    }
  }

  logging_config {
    log_format = "Text"
    log_group  = aws_cloudwatch_log_group.bridge["webhook"].name
  }

  lifecycle {
    precondition {
      condition     = local.bridge_is_packed
      error_message = "build/bridge.zip is absent or older than the code in bridge/. Run: python3 ../package.py"
    }
  }

  depends_on = [aws_iam_role_policy.bridge]
}

resource "aws_lambda_function" "fetch" {
  #checkov:skip=CKV_AWS_50:one hop with a structured log line for each message; a trace would add nothing
  #checkov:skip=CKV_AWS_115:a choice of the account, var.reserved_concurrency
  #checkov:skip=CKV_AWS_116:the queue that calls it has a dead-letter queue
  #checkov:skip=CKV_AWS_117:a choice of the network, var.fetch_network
  #checkov:skip=CKV_AWS_173:its environment holds names, no secret
  #checkov:skip=CKV_AWS_272:the code comes from this folder and its hash is in the plan
  count = local.is_data_center ? 1 : 0

  function_name                  = "${local.bridge_name}-fetch"
  description                    = "Fetches archives of commits from Bitbucket into the source bucket"
  role                           = aws_iam_role.bridge["fetch"].arn
  runtime                        = "python3.13"
  architectures                  = ["arm64"]
  handler                        = "bridge.fetch.handler"
  filename                       = local.bridge_zip
  source_code_hash               = local.bridge_hash
  timeout                        = local.fetch_timeout
  memory_size                    = 512
  reserved_concurrent_executions = var.reserved_concurrency.fetch

  # The archive lies in /tmp while it is checked.
  ephemeral_storage {
    size = max(512, ceil(2 * var.max_archive_bytes / 1048576))
  }

  environment {
    variables = {
      BITBUCKET_URL     = var.bitbucket_url
      TOKEN_SECRET_ID   = aws_secretsmanager_secret.token[0].name
      SOURCE_BUCKET     = module.source_bucket.name
      KMS_KEY_ARN       = module.key.arn
      MAX_ARCHIVE_BYTES = tostring(var.max_archive_bytes)
    }
  }

  dynamic "vpc_config" {
    for_each = var.fetch_network == null ? [] : [var.fetch_network]

    content {
      subnet_ids         = vpc_config.value.subnet_ids
      security_group_ids = vpc_config.value.security_group_ids
    }
  }

  logging_config {
    log_format = "Text"
    log_group  = aws_cloudwatch_log_group.bridge["fetch"].name
  }

  lifecycle {
    precondition {
      condition     = local.bridge_is_packed
      error_message = "build/bridge.zip is absent or older than the code in bridge/. Run: python3 ../package.py"
    }
  }

  depends_on = [aws_iam_role_policy.bridge]
}

resource "aws_cloudwatch_log_group" "bridge" {
  #checkov:skip=CKV_AWS_338:the organisation chooses, var.log_retention_days; a year is the default
  for_each = local.bridge_functions

  name              = "/aws/lambda/${local.bridge_name}-${each.key}"
  retention_in_days = var.log_retention_days
  kms_key_id        = module.key.arn
}

# The queue between them

resource "aws_sqs_queue" "bitbucket" {
  count = local.is_data_center ? 1 : 0

  name                       = local.bridge_name
  kms_master_key_id          = module.key.arn
  visibility_timeout_seconds = local.fetch_visibility
  # Longer than a weekend during which Bitbucket is down would need; the dead letters wait longer.
  message_retention_seconds = 4 * 24 * 3600

  redrive_policy = jsonencode({
    deadLetterTargetArn = aws_sqs_queue.dead_letters[0].arn
    maxReceiveCount     = 5
  })
}

resource "aws_sqs_queue" "dead_letters" {
  count = local.is_data_center ? 1 : 0

  name                      = "${local.bridge_name}-dead-letters"
  kms_master_key_id         = module.key.arn
  message_retention_seconds = 14 * 24 * 3600
}

resource "aws_lambda_event_source_mapping" "fetch" {
  count = local.is_data_center ? 1 : 0

  event_source_arn        = aws_sqs_queue.bitbucket[0].arn
  function_name           = aws_lambda_function.fetch[0].arn
  batch_size              = 5
  function_response_types = ["ReportBatchItemFailures"]

  # Two at once: what an ordinary Bitbucket answers without slowing down for the people who use it.
  scaling_config {
    maximum_concurrency = 2
  }
}

# Bitbucket's token. Its value is put in by hand, so that it is in no state and no plan.

resource "aws_secretsmanager_secret" "token" {
  #checkov:skip=CKV2_AWS_57:Bitbucket has no way to rotate it by itself; the README says how a person does
  count = local.is_data_center ? 1 : 0

  name                    = "${var.prefix}/bitbucket/token"
  description             = "Bitbucket HTTP access token that reads repositories: {\"token\": …, \"ca_pem\": …}"
  kms_key_id              = module.key.arn
  recovery_window_in_days = 7
}

# The webhook's address. Who calls is found out by the function, from the signature: Bitbucket signs in no way that
# API Gateway could check. Until then a caller costs at most what the throttle lets through.

resource "aws_apigatewayv2_api" "bitbucket" {
  count = local.is_data_center ? 1 : 0

  name          = local.bridge_name
  description   = "Webhooks of Bitbucket Data Center"
  protocol_type = "HTTP"
}

resource "aws_apigatewayv2_integration" "webhook" {
  count = local.is_data_center ? 1 : 0

  api_id                 = aws_apigatewayv2_api.bitbucket[0].id
  integration_type       = "AWS_PROXY"
  integration_uri        = aws_lambda_function.webhook[0].invoke_arn
  payload_format_version = "2.0"
}

resource "aws_apigatewayv2_route" "webhook" {
  #checkov:skip=CKV_AWS_309:the function checks the signature of the body, which no authorizer sees
  count = local.is_data_center ? 1 : 0

  api_id             = aws_apigatewayv2_api.bitbucket[0].id
  route_key          = "POST /bitbucket/{repository}"
  authorization_type = "NONE"
  target             = "integrations/${aws_apigatewayv2_integration.webhook[0].id}"
}

resource "aws_apigatewayv2_stage" "bitbucket" {
  count = local.is_data_center ? 1 : 0

  api_id      = aws_apigatewayv2_api.bitbucket[0].id
  name        = "$default"
  auto_deploy = true

  default_route_settings {
    throttling_rate_limit  = var.webhook_throttle.rate
    throttling_burst_limit = var.webhook_throttle.burst
  }

  access_log_settings {
    destination_arn = aws_cloudwatch_log_group.api[0].arn
    format = jsonencode({
      request_id = "$context.requestId"
      time       = "$context.requestTime"
      source_ip  = "$context.identity.sourceIp"
      path       = "$context.path"
      status     = "$context.status"
      length     = "$context.responseLength"
      latency_ms = "$context.responseLatency"
      error      = "$context.integrationErrorMessage"
    })
  }
}

resource "aws_lambda_permission" "api" {
  count = local.is_data_center ? 1 : 0

  statement_id  = "webhook-of-bitbucket"
  action        = "lambda:InvokeFunction"
  function_name = aws_lambda_function.webhook[0].function_name
  principal     = "apigateway.amazonaws.com"
  # Any stage; this method and path only.
  source_arn = "${aws_apigatewayv2_api.bitbucket[0].execution_arn}/*/POST/bitbucket/{repository}"
}

# Groups under /aws/vendedlogs/ are not listed one by one in the account's log resource policy, which is short.
resource "aws_cloudwatch_log_group" "api" {
  #checkov:skip=CKV_AWS_338:the organisation chooses, var.log_retention_days; a year is the default
  count = local.is_data_center ? 1 : 0

  name              = "/aws/vendedlogs/apigateway/${local.bridge_name}"
  retention_in_days = var.log_retention_days
  kms_key_id        = module.key.arn
}
