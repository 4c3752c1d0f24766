output "name" {
  description = "The project's name, for the pipeline's action."
  value       = aws_codebuild_project.this.name
}

output "arn" {
  description = "The project's ARN."
  value       = aws_codebuild_project.this.arn
}

output "role_arn" {
  description = "The role of builds."
  value       = module.role.arn
}

output "log_group" {
  description = "Where builds write their log."
  value       = aws_cloudwatch_log_group.this.name
}
