output "undelivered_queue_url" {
  description = "The queue with events that could not be delivered."
  value       = aws_sqs_queue.undelivered.id
}

output "role_arn" {
  description = "The role that starts the pipeline."
  value       = module.role.arn
}
