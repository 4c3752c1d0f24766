variable "name" {
  description = "The bucket's name; 63 characters at most."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$", var.name))
    error_message = "A bucket's name has 3 to 63 lower-case letters, digits and hyphens: shorten the prefix."
  }
}

variable "kms_key_arn" {
  description = "ARN of the key that encrypts every object."
  type        = string
}

variable "eventbridge" {
  description = "Whether the bucket's events go to EventBridge."
  type        = bool
  default     = false
}

variable "noncurrent_days" {
  description = "Days after which a version that was replaced is deleted."
  type        = number
}
