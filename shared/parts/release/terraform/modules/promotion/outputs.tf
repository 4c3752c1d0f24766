output "pipeline" {
  description = "The CodePipeline's name."
  value       = aws_codepipeline.this.name
}

output "pipeline_url" {
  description = "Where to watch it."
  value       = "https://${local.region}.console.aws.amazon.com/codesuite/codepipeline/pipelines/${local.name}/view?region=${local.region}"
}

output "source" {
  description = "The object that starts the pipeline when it is written."
  value       = "s3://${local.source.bucket}/${local.source.key}"
}

output "bucket" {
  description = "The bucket with records of deployments and reports."
  value       = module.bucket.name
}

output "kms_key_arn" {
  description = "The key that encrypts them."
  value       = local.kms_key_arn
}

output "build_role_arns" {
  description = "Environment -> the role of the build that deploys it."
  value       = { for environment, build in module.build : environment => build.role_arn }
}

output "undelivered_queue_url" {
  description = "The queue with events that could not be delivered."
  value       = module.events.undelivered_queue_url
}
