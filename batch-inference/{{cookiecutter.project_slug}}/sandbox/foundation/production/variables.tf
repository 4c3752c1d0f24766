variable "prefix" {
  description = "What the names of the shared resources begin with; the repositories' `prefix` must be the same."
  type        = string
  default     = "mlops"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,14}[a-z0-9]$", var.prefix))
    error_message = "2 to 16 lower-case letters, digits and hyphens, beginning with a letter: bucket names must fit 63 characters."
  }
}

variable "region" {
  description = "The region of everything; models are registered and deployed in the same one."
  type        = string
}

variable "shared_services_account_id" {
  description = "The account in which models are built and from which they are deployed."
  type        = string

  validation {
    condition     = can(regex("^[0-9]{12}$", var.shared_services_account_id))
    error_message = "An account id has 12 digits; write it as a string, zeros in front count."
  }
}

variable "production_account_id" {
  description = "The account to which models are deployed, and to which this root is applied; it may be the same."
  type        = string

  validation {
    condition     = can(regex("^[0-9]{12}$", var.production_account_id))
    error_message = "An account id has 12 digits; write it as a string, zeros in front count."
  }
}

variable "tags" {
  description = "Further tags of every resource, for example a cost centre."
  type        = map(string)
  default     = {}
}

variable "notification_emails" {
  description = "Addresses that are told of failures and of approvals that wait; each must confirm one e-mail."
  type        = set(string)
  default     = []
}

variable "log_retention_days" {
  description = "Days for which the deployments keep their logs."
  type        = number
  default     = 365

  validation {
    condition = contains(
      [1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653],
      var.log_retention_days,
    )
    error_message = "CloudWatch takes 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, … days."
  }
}

variable "permissions_boundary_arn" {
  description = "An existing managed policy that bounds every role that deployments make; null to have one made."
  type        = string
  default     = null
}
