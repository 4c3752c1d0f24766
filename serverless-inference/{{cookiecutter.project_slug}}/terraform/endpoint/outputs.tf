output "endpoint_name" {
  description = "The endpoint; null without a model."
  value       = local.has_model ? aws_sagemaker_endpoint.this[0].name : null
}

output "endpoint_arn" {
  description = "Its ARN, for policies of those who ask it (sagemaker:InvokeEndpoint); null without a model."
  value       = local.has_model ? aws_sagemaker_endpoint.this[0].arn : null
}

output "dashboard_url" {
  description = "Requests, errors, latency and concurrency."
  value       = local.dashboard_url
}

output "log_group" {
  description = "What the model's containers write."
  value       = aws_cloudwatch_log_group.this.name
}
