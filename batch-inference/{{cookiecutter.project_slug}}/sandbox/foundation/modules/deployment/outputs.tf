output "foundation" {
  description = "What the parameter tells the deployments."
  value       = local.foundation
}

output "parameter_name" {
  description = "Name of the SSM parameter that the deployments read."
  value       = aws_ssm_parameter.foundation.name
}
