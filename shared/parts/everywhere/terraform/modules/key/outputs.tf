output "arn" {
  description = "The key's ARN. Across accounts an alias does not work."
  value       = aws_kms_key.this.arn
}
