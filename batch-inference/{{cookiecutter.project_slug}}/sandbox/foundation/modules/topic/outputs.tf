output "arn" {
  description = "The topic's ARN, once its policy is in place."
  value       = aws_sns_topic.this.arn
  depends_on  = [aws_sns_topic_policy.this]
}
