resource "aws_cloudwatch_event_rule" "objects" {
  name        = "events-objects"
  description = "New objects under incoming/"
  event_pattern = jsonencode({
    source        = ["aws.s3"]
    "detail-type" = ["Object Created"]
    detail = {
      bucket = { name = [aws_s3_bucket.this.id] }
      object = { key = [{ prefix = "incoming/" }] }
    }
  })
}

resource "aws_cloudwatch_event_target" "queue" {
  rule = aws_cloudwatch_event_rule.objects.name
  arn  = aws_sqs_queue.work.arn
  dead_letter_config {
    arn = aws_sqs_queue.dead.arn
  }
  input_transformer {
    input_paths    = { key = "$.detail.object.key", bucket = "$.detail.bucket.name" }
    input_template = "{\"bucket\": <bucket>, \"text\": \"key <key>\"}"
  }
}

resource "aws_cloudwatch_event_rule" "daily" {
  name                = "events-daily"
  description         = "Once a day"
  schedule_expression = "rate(1 day)"
  state               = "DISABLED"
}

resource "aws_cloudwatch_event_target" "pipeline" {
  rule     = aws_cloudwatch_event_rule.daily.name
  arn      = "arn:aws:sagemaker:${local.region}:${local.account}:pipeline/train"
  role_arn = aws_iam_role.events.arn
  sagemaker_pipeline_target {
    pipeline_parameter_list {
      name  = "InputKey"
      value = "$.detail.object.key"
    }
  }
  retry_policy {
    maximum_event_age_in_seconds = 3600
    maximum_retry_attempts       = 2
  }
}

resource "aws_iam_role" "events" {
  name               = "events-target"
  assume_role_policy = data.aws_iam_policy_document.trust["events"].json
}

data "aws_iam_policy_document" "trust" {
  for_each = toset(["events", "lambda"])
  statement {
    actions = ["sts:AssumeRole"]
    principals {
      type        = "Service"
      identifiers = ["${each.key}.amazonaws.com"]
    }
  }
}

resource "aws_sns_topic" "this" {
  name              = "events-notifications"
  kms_master_key_id = aws_kms_key.this.arn
}

resource "aws_sns_topic_policy" "this" {
  arn    = aws_sns_topic.this.arn
  policy = data.aws_iam_policy_document.topic.json
}

data "aws_iam_policy_document" "topic" {
  statement {
    actions   = ["sns:Publish"]
    resources = [aws_sns_topic.this.arn]
    principals {
      type        = "Service"
      identifiers = ["events.amazonaws.com", "cloudwatch.amazonaws.com"]
    }
    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [local.account]
    }
  }
}

resource "aws_sns_topic_subscription" "mail" {
  topic_arn = aws_sns_topic.this.arn
  protocol  = "email"
  endpoint  = "someone@example.org"
}

resource "aws_cloudwatch_metric_alarm" "dead" {
  alarm_name          = "events-dead-letters"
  alarm_description   = "A message could not be handled"
  namespace           = "AWS/SQS"
  metric_name         = "ApproximateNumberOfMessagesVisible"
  dimensions          = { QueueName = aws_sqs_queue.dead.name }
  statistic           = "Maximum"
  period              = 300
  evaluation_periods  = 1
  threshold           = 0
  comparison_operator = "GreaterThanThreshold"
  treat_missing_data  = "notBreaching"
  alarm_actions       = [aws_sns_topic.this.arn]
}
