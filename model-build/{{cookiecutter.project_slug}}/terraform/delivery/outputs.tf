output "pipeline" {
  description = "The CodePipeline that a push starts."
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
  description = "Data, models and reports."
  value       = module.bucket.name
}

output "kms_key_arn" {
  description = "The key that encrypts them."
  value       = local.kms_key_arn
}

output "execution_role_arn" {
  description = "The role of the SageMaker pipeline and its jobs."
  value       = local.execution_role_arn
}

output "model_package_group" {
  description = "Where trained models are registered."
  value       = aws_sagemaker_model_package_group.this.model_package_group_name
}

output "undelivered_queue_url" {
  description = "Events that could not be delivered."
  value       = module.events.undelivered_queue_url
}

output "decide_policy_arn" {
  description = "The policy of people who look at, approve and reject versions."
  value       = aws_iam_policy.decide.arn
}
