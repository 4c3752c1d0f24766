output "pipeline" {
  description = "The CodePipeline that a push starts."
  value       = module.promotion.pipeline
}

output "pipeline_url" {
  description = "Where to watch it."
  value       = module.promotion.pipeline_url
}

output "source" {
  description = "The object that starts the pipeline when it is written."
  value       = module.promotion.source
}

output "model_package_group" {
  description = "The group whose newest approved version answers."
  value       = local.group
}

output "bucket" {
  description = "Records of deployments and reports."
  value       = module.promotion.bucket
}

output "kms_key_arn" {
  description = "The key that encrypts them."
  value       = module.promotion.kms_key_arn
}

output "build_role_arns" {
  description = "Environment -> the role of the build that deploys it."
  value       = module.promotion.build_role_arns
}

output "undelivered_queue_url" {
  description = "Events that could not be delivered."
  value       = module.promotion.undelivered_queue_url
}
