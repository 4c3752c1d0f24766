variable "environment" {
  description = "Which environment this is; names and paths say it."
  type        = string

  validation {
    condition     = contains(["staging", "production"], var.environment)
    error_message = "Expected staging or production."
  }
}

variable "prefix" {
  description = "What the names of the shared resources begin with."
  type        = string
}

variable "region" {
  description = "The region of everything."
  type        = string
}

variable "account_id" {
  description = "The account of this environment."
  type        = string
}

variable "shared_services_account_id" {
  description = "The account in which the builds run that deploy."
  type        = string
}

variable "production_account_id" {
  description = "The account of production, for the parameter; staging's is shared_services_account_id."
  type        = string
}

variable "kms_key_arn" {
  description = "ARN of the environment's key: data, logs and notifications."
  type        = string
}

variable "notifications_topic_arn" {
  description = "ARN of the topic that alarms of deployments publish to."
  type        = string
}

variable "state_bucket" {
  description = "Name of the bucket that holds the state of the environment's deployments."
  type        = string
}

variable "state_key_arn" {
  description = "ARN of the key that encrypts that bucket."
  type        = string
}

variable "log_retention_days" {
  description = "Days for which the deployments keep their logs."
  type        = number
}

variable "permissions_boundary_arn" {
  description = "An existing managed policy that bounds every role that deployments make; null to have one made."
  type        = string
}
