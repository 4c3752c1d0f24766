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
  description = "The account in which models are built, and to which this root is applied."
  type        = string

  validation {
    condition     = can(regex("^[0-9]{12}$", var.shared_services_account_id))
    error_message = "An account id has 12 digits; write it as a string, zeros in front count."
  }
}

variable "production_account_id" {
  description = "The account to which models are deployed; the same as shared_services_account_id for a single account."
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
  description = "Days for which logs are kept, here and in the repositories' projects."
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

variable "source_retention_days" {
  description = "Days after which a source archive that a newer one replaced is deleted; the newest of each branch stays."
  type        = number
  default     = 90
}

variable "permissions_boundary_arn" {
  description = "An existing managed policy that bounds every other role made here and by the repositories; null for none."
  type        = string
  default     = null
}

variable "staging_permissions_boundary_arn" {
  description = "An existing managed policy that bounds every role that deployments to staging make; null to have one made."
  type        = string
  default     = null
}

variable "create_permissions_boundary" {
  description = "Whether to make a boundary for these roles, instead of permissions_boundary_arn."
  type        = bool
  default     = false

  validation {
    condition     = !(var.create_permissions_boundary && var.permissions_boundary_arn != null)
    error_message = "Give permissions_boundary_arn, or have a boundary made, not both."
  }
}

variable "bitbucket_hosting" {
  description = "`data-center` for Bitbucket in your own network, `cloud` for bitbucket.org."
  type        = string

  validation {
    condition     = contains(["data-center", "cloud"], var.bitbucket_hosting)
    error_message = "Expected data-center or cloud."
  }
}

# Bitbucket Data Center

variable "bitbucket_url" {
  description = "Data Center: where Bitbucket answers, for example https://bitbucket.example.org."
  type        = string
  default     = null

  validation {
    condition     = var.bitbucket_hosting == "cloud" || can(regex("^https://[^/]+(/.*[^/])?$", var.bitbucket_url))
    error_message = "bitbucket_hosting = \"data-center\" needs an address that begins with https:// and does not end with a slash."
  }
}

variable "fetch_network" {
  description = "Data Center: subnets and security groups from which the fetch function reaches Bitbucket and AWS; null for the internet."
  type = object({
    subnet_ids         = list(string)
    security_group_ids = list(string)
  })
  default = null
}

variable "max_archive_bytes" {
  description = "Data Center: the largest archive of a commit that is taken."
  type        = number
  default     = 104857600

  validation {
    condition     = var.max_archive_bytes >= 1048576 && var.max_archive_bytes <= 536870912
    error_message = "From 1 MiB (1048576) to 512 MiB (536870912)."
  }
}

variable "webhook_throttle" {
  description = "Data Center: requests a second, and how many at once, that the webhook's address takes from everybody together."
  type        = object({ rate = number, burst = number })
  default     = { rate = 10, burst = 20 }
}

variable "reserved_concurrency" {
  description = "Data Center: concurrency set aside for, and at most used by, each function; -1 for the account's unreserved pool."
  type        = object({ webhook = number, fetch = number })
  default     = { webhook = -1, fetch = -1 }

  validation {
    condition     = var.reserved_concurrency.fetch == -1 || var.reserved_concurrency.fetch >= 2
    error_message = "The queue calls the fetch function twice at once: reserve 2 or more, or -1."
  }
}

# Bitbucket Cloud

variable "bitbucket_workspace" {
  description = "Cloud: the workspace's name in its address, and its UUID without braces."
  type        = object({ name = string, uuid = string })
  default     = null

  validation {
    condition = var.bitbucket_hosting == "data-center" || (
      can(regex("^[a-z0-9_-]+$", var.bitbucket_workspace.name)) &&
      can(regex("^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$", var.bitbucket_workspace.uuid))
    )
    error_message = "bitbucket_hosting = \"cloud\" needs { name = \"…\", uuid = \"…\" }; the UUID without braces, in lower case."
  }
}

variable "bitbucket_repository_uuids" {
  description = "Cloud: UUIDs, without braces, of the repositories whose pipelines may publish sources."
  type        = set(string)
  default     = []

  validation {
    condition = alltrue([
      for uuid in var.bitbucket_repository_uuids : can(regex("^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$", uuid))
    ])
    error_message = "Repository UUIDs without braces, in lower case."
  }

  validation {
    condition     = var.bitbucket_hosting == "data-center" || length(var.bitbucket_repository_uuids) > 0
    error_message = "bitbucket_hosting = \"cloud\" needs at least one repository, or nobody could publish."
  }
}
