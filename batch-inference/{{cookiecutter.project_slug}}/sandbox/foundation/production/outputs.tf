output "foundation" {
  description = "What the parameter tells the deployments."
  value       = module.deployment.foundation
}

output "parameter_name" {
  description = "Name of the SSM parameter that the deployments read."
  value       = module.deployment.parameter_name
}

output "backend_config" {
  description = "The backend block that moves this root's state into the state bucket."
  value       = <<-EOT
    terraform {
      backend "s3" {
        bucket       = "${local.state_bucket}"
        key          = "foundation/production.tfstate"
        region       = "${var.region}"
        encrypt      = true
        kms_key_id   = "${local.state_key_arn}"
        use_lockfile = true
      }
    }
  EOT
}
