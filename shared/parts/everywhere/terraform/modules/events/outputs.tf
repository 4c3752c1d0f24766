output "undelivered_queue_url" {
  description = "The queue with events that could not be delivered."
  value       = module.undelivered.url
}

output "role_arn" {
  description = "The role that starts the pipeline."
  value       = module.role.arn
}
