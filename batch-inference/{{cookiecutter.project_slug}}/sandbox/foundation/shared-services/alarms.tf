# What tells a person that sources do not arrive.

locals {
  bridge_alarms = local.is_data_center ? {
    dead-letters = {
      description = "A push was given up: see the dead-letter queue's messages and the fetch function's log"
      namespace   = "AWS/SQS"
      metric      = "ApproximateNumberOfMessagesVisible"
      statistic   = "Maximum"
      threshold   = 0
      dimensions  = { QueueName = aws_sqs_queue.dead_letters[0].name }
    }
    waiting = {
      description = "A push has been waiting for an hour: Bitbucket does not answer, or answers slowly"
      namespace   = "AWS/SQS"
      metric      = "ApproximateAgeOfOldestMessage"
      statistic   = "Maximum"
      threshold   = 3600
      dimensions  = { QueueName = aws_sqs_queue.bitbucket[0].name }
    }
    webhook-errors = {
      description = "The webhook function failed; Bitbucket stops calling after a few failures"
      namespace   = "AWS/Lambda"
      metric      = "Errors"
      statistic   = "Sum"
      threshold   = 0
      dimensions  = { FunctionName = aws_lambda_function.webhook[0].function_name }
    }
    webhook-throttles = {
      description = "The webhook function was refused for want of concurrency"
      namespace   = "AWS/Lambda"
      metric      = "Throttles"
      statistic   = "Sum"
      threshold   = 0
      dimensions  = { FunctionName = aws_lambda_function.webhook[0].function_name }
    }
    webhook-answers = {
      description = "Bitbucket was answered with a server error; it stops calling after a few of them"
      namespace   = "AWS/ApiGateway"
      metric      = "5xx"
      statistic   = "Sum"
      threshold   = 0
      dimensions  = { ApiId = aws_apigatewayv2_api.bitbucket[0].id }
    }
    fetch-errors = {
      description = "The fetch function failed as a whole, not for single messages"
      namespace   = "AWS/Lambda"
      metric      = "Errors"
      statistic   = "Sum"
      threshold   = 0
      dimensions  = { FunctionName = aws_lambda_function.fetch[0].function_name }
    }
    fetch-throttles = {
      description = "The fetch function was refused for want of concurrency"
      namespace   = "AWS/Lambda"
      metric      = "Throttles"
      statistic   = "Sum"
      threshold   = 0
      dimensions  = { FunctionName = aws_lambda_function.fetch[0].function_name }
    }
  } : {}
}

resource "aws_cloudwatch_metric_alarm" "bridge" {
  for_each = local.bridge_alarms

  alarm_name          = "${local.bridge_name}-${each.key}"
  alarm_description   = each.value.description
  namespace           = each.value.namespace
  metric_name         = each.value.metric
  statistic           = each.value.statistic
  dimensions          = each.value.dimensions
  period              = 300
  evaluation_periods  = 1
  comparison_operator = "GreaterThanThreshold"
  threshold           = each.value.threshold
  # No push, no data: nothing is wrong.
  treat_missing_data = "notBreaching"
  alarm_actions      = [module.notifications.arn]
  ok_actions         = [module.notifications.arn]
}
