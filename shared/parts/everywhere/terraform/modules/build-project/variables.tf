variable "name" {
  description = "The name of the project, its role and its log group."
  type        = string
}

variable "description" {
  description = "One line for the console."
  type        = string
}

variable "buildspec" {
  description = "The buildspec's path in the source."
  type        = string
}

variable "artifacts" {
  description = "Where the pipeline keeps what it passes between actions: the bucket's ARN and the pipeline's prefix, ending with /."
  type = object({
    bucket_arn = string
    prefix     = string
  })
}

variable "kms_key_arn" {
  description = "The key that encrypts artifacts and logs."
  type        = string
}

variable "policy" {
  description = "What builds may do besides writing their log and exchanging artifacts, as JSON."
  type        = string
}

variable "environment" {
  description = "Environment variables of builds; no secrets, as they show in the console."
  type        = map(string)
  default     = {}
}

variable "role_path" {
  description = "The role's path; builds that deploy to production have /<prefix>/deploy/."
  type        = string
  default     = "/"
}

variable "permissions_boundary_arn" {
  description = "The policy that bounds every role of the organisation; null for none."
  type        = string
  default     = null
}

variable "log_retention_days" {
  description = "How long logs are kept."
  type        = number
}

variable "privileged" {
  description = "Whether builds have docker, which takes a privileged container; it has the machine that one build runs on."
  type        = bool
  default     = false
}

variable "timeout_minutes" {
  description = "When a build is stopped."
  type        = number
  default     = 30
}
