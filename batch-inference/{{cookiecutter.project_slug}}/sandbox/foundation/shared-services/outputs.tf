output "foundation" {
  description = "What the parameter tells the repositories."
  value       = local.foundation
}

output "parameter_name" {
  description = "Name of the SSM parameter that the repositories read."
  value       = aws_ssm_parameter.foundation.name
}

output "publish_policy_arn" {
  description = "Policy that lets a CI server's role or user put sources, and nothing else."
  value       = aws_iam_policy.publish.arn
}

output "token_secret_name" {
  description = "Data Center: the secret that takes Bitbucket's HTTP access token."
  value       = local.is_data_center ? aws_secretsmanager_secret.token[0].name : null
}

output "backend_config" {
  description = "The backend block that moves this root's state into the state bucket."
  value       = <<-EOT
    terraform {
      backend "s3" {
        bucket       = "${module.state_bucket.name}"
        key          = "foundation/shared-services.tfstate"
        region       = "${var.region}"
        encrypt      = true
        kms_key_id   = "${module.key.arn}"
        use_lockfile = true
      }
    }
  EOT
}
