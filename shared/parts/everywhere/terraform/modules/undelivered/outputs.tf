output "arn" {
  description = "The queue's ARN, once EventBridge may send to it."
  value       = aws_sqs_queue.this.arn
  depends_on  = [aws_sqs_queue_policy.this]
}

output "url" {
  description = "The queue's URL."
  value       = aws_sqs_queue.this.id
}
