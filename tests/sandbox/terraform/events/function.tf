resource "aws_cloudwatch_log_group" "this" {
  for_each          = toset(["/aws/lambda/events-function", "/aws/apigateway/events"])
  name              = each.key
  retention_in_days = 30
}

resource "aws_cloudwatch_log_metric_filter" "refused" {
  name           = "events-refused"
  log_group_name = aws_cloudwatch_log_group.this["/aws/lambda/events-function"].name
  pattern        = "{ $.level = \"ERROR\" }"
  metric_transformation {
    name          = "Refused"
    namespace     = "events"
    value         = "1"
    default_value = "0"
  }
}

resource "aws_iam_role" "function" {
  name               = "events-function"
  assume_role_policy = data.aws_iam_policy_document.trust["lambda"].json
}

resource "aws_iam_role_policy" "function" {
  name   = "function"
  role   = aws_iam_role.function.id
  policy = data.aws_iam_policy_document.function.json
}

data "aws_iam_policy_document" "function" {
  statement {
    actions   = ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:GetQueueUrl"]
    resources = [aws_sqs_queue.work.arn]
  }
  statement {
    actions   = ["logs:CreateLogStream", "logs:PutLogEvents"]
    resources = ["${aws_cloudwatch_log_group.this["/aws/lambda/events-function"].arn}:*"]
  }
}

resource "aws_lambda_function" "this" {
  function_name    = "events-function"
  role             = aws_iam_role.function.arn
  runtime          = "python3.12"
  handler          = "app.handler"
  filename         = var.code
  source_code_hash = filebase64sha256(var.code)
  timeout          = 10
  memory_size      = var.memory
  kms_key_arn      = aws_kms_key.this.arn
  environment {
    variables = { NAME = "value" }
  }
  dead_letter_config {
    target_arn = aws_sqs_queue.dead.arn
  }
  logging_config {
    log_format       = "JSON"
    log_group        = aws_cloudwatch_log_group.this["/aws/lambda/events-function"].name
    system_log_level = "WARN"
  }
  tracing_config {
    mode = "PassThrough"
  }
}

resource "aws_lambda_permission" "api" {
  statement_id  = "api"
  action        = "lambda:InvokeFunction"
  function_name = aws_lambda_function.this.function_name
  principal     = "apigateway.amazonaws.com"
  source_arn    = "${aws_apigatewayv2_api.this.execution_arn}/*/POST/hook/{name}"
}

resource "aws_lambda_event_source_mapping" "work" {
  event_source_arn        = aws_sqs_queue.work.arn
  function_name           = aws_lambda_function.this.arn
  batch_size              = 5
  function_response_types = ["ReportBatchItemFailures"]
  scaling_config {
    maximum_concurrency = 2
  }
}

resource "aws_apigatewayv2_api" "this" {
  name          = "events"
  protocol_type = "HTTP"
}

resource "aws_apigatewayv2_integration" "this" {
  api_id                 = aws_apigatewayv2_api.this.id
  integration_type       = "AWS_PROXY"
  integration_uri        = aws_lambda_function.this.invoke_arn
  payload_format_version = "2.0"
}

resource "aws_apigatewayv2_route" "hook" {
  api_id    = aws_apigatewayv2_api.this.id
  route_key = "POST /hook/{name}"
  target    = "integrations/${aws_apigatewayv2_integration.this.id}"
}

resource "aws_apigatewayv2_stage" "this" {
  api_id      = aws_apigatewayv2_api.this.id
  name        = "$default"
  auto_deploy = true
  access_log_settings {
    destination_arn = aws_cloudwatch_log_group.this["/aws/apigateway/events"].arn
    format          = "$context.httpMethod $context.path $context.status"
  }
  default_route_settings {
    throttling_burst_limit = 20
    throttling_rate_limit  = 10
  }
}
