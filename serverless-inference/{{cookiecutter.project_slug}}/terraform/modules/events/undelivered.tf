# Events that EventBridge could not deliver within a day wait here for two weeks; the alarm says so.

resource "aws_sqs_queue" "undelivered" {
  # checkov:skip=CKV_AWS_27:encrypted with SQS's own key; EventBridge would need to be let into ours, and events hold no secrets
  name                      = "${var.name}-undelivered-events"
  message_retention_seconds = 1209600
  sqs_managed_sse_enabled   = true
}

resource "aws_sqs_queue_policy" "undelivered" {
  queue_url = aws_sqs_queue.undelivered.id
  policy    = data.aws_iam_policy_document.undelivered.json
}

data "aws_iam_policy_document" "undelivered" {
  statement {
    actions   = ["sqs:SendMessage"]
    resources = [aws_sqs_queue.undelivered.arn]
    principals {
      type        = "Service"
      identifiers = ["events.amazonaws.com"]
    }
    condition {
      test     = "ArnEquals"
      variable = "aws:SourceArn"
      values   = local.all_rules
    }
  }
}

resource "aws_cloudwatch_metric_alarm" "undelivered" {
  alarm_name          = "${var.name}-undelivered-events"
  alarm_description   = "An event could not start the pipeline ${var.name}, or could not be told to people. The queue ${aws_sqs_queue.undelivered.name} holds it, with the reason as message attributes."
  namespace           = "AWS/SQS"
  metric_name         = "ApproximateNumberOfMessagesVisible"
  dimensions          = { QueueName = aws_sqs_queue.undelivered.name }
  statistic           = "Maximum"
  period              = 300
  evaluation_periods  = 1
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  treat_missing_data  = "notBreaching" # an idle queue reports nothing
  alarm_actions       = [var.topic_arn]
}
