output "bucket" {
  description = "The bucket with the files and their answers."
  value       = module.bucket.name
}

output "pipeline" {
  description = "The SageMaker pipeline that answers a file; null while it is not enabled."
  value       = one(aws_sagemaker_pipeline.this[*].pipeline_name)
}

output "undelivered_queue_url" {
  description = "The queue with events that could not be delivered; null while it is not enabled."
  value       = one(module.undelivered[*].url)
}

output "log_groups" {
  description = "Function -> where it writes its log."
  value       = { for name, group in aws_cloudwatch_log_group.function : name => group.name }
}
