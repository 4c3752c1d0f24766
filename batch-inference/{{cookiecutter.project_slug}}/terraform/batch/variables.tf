variable "environment" {
  description = "staging (in the shared services account) or production."
  type        = string

  validation {
    condition     = contains(["staging", "production"], var.environment)
    error_message = "environment: expected staging or production, got ${var.environment}"
  }
}

variable "deployment" {
  description = "The absolute path of the record of the deployment, which the builds write: what is to be live in this environment. Beside it lie the pipeline's definition and the functions' code."
  type        = string

  validation {
    condition     = can(jsondecode(file(var.deployment)).definition)
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
    condition = try(alltrue([
      for folder in [jsondecode(file(var.deployment)).settings.input.prefix, jsondecode(file(var.deployment)).settings.output.prefix] :
      can(regex("^[A-Za-z0-9][A-Za-z0-9_./-]*/$", folder))
    ]), false)
    error_message = "${var.deployment}: settings: input.prefix and output.prefix: expected folders such as input/ of letters, digits and _./-"
  }

  validation {
    condition = try(alltrue([
      for pair in [
        [jsondecode(file(var.deployment)).settings.input.prefix, jsondecode(file(var.deployment)).settings.output.prefix],
        [jsondecode(file(var.deployment)).settings.input.prefix, "work/"],
        [jsondecode(file(var.deployment)).settings.output.prefix, "work/"],
      ] : !startswith(pair[0], pair[1]) && !startswith(pair[1], pair[0])
    ]), false)
    error_message = "${var.deployment}: settings: input.prefix and output.prefix: expected folders beside each other and beside work/, or an answer would be a file to answer; got ${try(join(" and ", [jsondecode(file(var.deployment)).settings.input.prefix, jsondecode(file(var.deployment)).settings.output.prefix]), "nothing")}"
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

variable "delete_data" {
  description = "Whether destroying also deletes the files and their answers; otherwise a bucket that is not empty stays."
  type        = bool
  default     = false
}
