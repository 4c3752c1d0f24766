variable "environment" {
  description = "staging (in the shared services account) or production."
  type        = string

  validation {
    condition     = contains(["staging", "production"], var.environment)
    error_message = "environment: expected staging or production, got ${var.environment}"
  }
}

variable "deployment" {
  description = "The absolute path of the record of the deployment, which the builds write: what is to be live in this environment."
  type        = string

  validation {
    condition     = can(jsondecode(file(var.deployment)).model)
    error_message = "deployment: expected the path of a deployment's record (JSON), got ${var.deployment}"
  }

  validation {
    condition     = try(jsondecode(file(var.deployment)).version, null) == 1
    error_message = "${var.deployment}: version: expected 1; bring this repository up to date, or let the pipeline write the record anew"
  }

  validation {
    condition     = try(jsondecode(file(var.deployment)).environment, null) == var.environment
    error_message = "${var.deployment}: environment: expected ${var.environment}, got ${try(jsondecode(file(var.deployment)).environment, "nothing")}"
  }

  validation {
    condition     = can(regex("^[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}$", jsondecode(file(var.deployment)).endpoint_name))
    error_message = "${var.deployment}: endpoint_name: expected 1 to 63 letters, digits and hyphens, no hyphen first or last"
  }

  validation {
    # the folder of the bucket that holds all versions, and the registry's account and repository, are taken from these
    condition = try(jsondecode(file(var.deployment)).model, null) == null || (
      can(regex("^s3://[^/]+/[^/]+/.+$", jsondecode(file(var.deployment)).model.data_url)) &&
      can(regex("^[0-9]{12}\\.dkr\\.ecr\\.[a-z0-9-]+\\.amazonaws\\.com(\\.cn)?/[^:@]+", jsondecode(file(var.deployment)).model.image))
    )
    error_message = "${var.deployment}: model: expected data_url s3://<bucket>/<folder>/… and an image of Amazon ECR"
  }
}

variable "deployment_role_arn" {
  description = "The foundation's role for deployments to this environment."
  type        = string

  validation {
    condition     = can(regex("^arn:[a-z-]+:iam::[0-9]{12}:role/.+$", var.deployment_role_arn))
    error_message = "deployment_role_arn: expected the ARN of a role, got ${var.deployment_role_arn}"
  }
}
