output "endpoint" {
  description = "Address of the HTTP API."
  value       = aws_apigatewayv2_api.this.api_endpoint
}

output "queue_url" {
  description = "The queue that the function reads."
  value       = aws_sqs_queue.work.url
}

output "bucket" {
  description = "The bucket whose new objects are put on the queue."
  value       = aws_s3_bucket.this.id
}
