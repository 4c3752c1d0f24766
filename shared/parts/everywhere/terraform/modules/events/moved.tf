# Queue and notices were once made here; a repository that has them keeps them.

moved {
  from = aws_sqs_queue.undelivered
  to   = module.undelivered.aws_sqs_queue.this
}

moved {
  from = aws_sqs_queue_policy.undelivered
  to   = module.undelivered.aws_sqs_queue_policy.this
}

moved {
  from = aws_cloudwatch_metric_alarm.undelivered
  to   = module.undelivered.aws_cloudwatch_metric_alarm.this
}

moved {
  from = aws_cloudwatch_event_rule.notice
  to   = module.notices.aws_cloudwatch_event_rule.this
}

moved {
  from = aws_cloudwatch_event_target.notice
  to   = module.notices.aws_cloudwatch_event_target.this
}
