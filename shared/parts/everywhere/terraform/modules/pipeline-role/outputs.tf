output "arn" {
  description = "The role's ARN, once its policy is attached."
  value       = module.role.arn
}
