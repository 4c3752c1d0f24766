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
