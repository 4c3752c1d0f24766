variable "name" {
  description = "The role's name."
  type        = string
}

variable "description" {
  description = "One line for the console: what acts as this role, and to do what."
  type        = string
}

variable "path" {
  description = "The role's path; roles that deploy to production have /<prefix>/deploy/."
  type        = string
  default     = "/"
}

variable "service" {
  description = "The service that assumes the role, for example codebuild.amazonaws.com."
  type        = string
}

variable "source_arns" {
  description = "The resources on whose behalf the service may assume it, with * for any part; empty where the service does not say."
  type        = list(string)
  default     = []
}

variable "policy" {
  description = "What the role may do, as JSON."
  type        = string
}

variable "permissions_boundary_arn" {
  description = "The policy that bounds every role of the organisation; null for none."
  type        = string
  default     = null
}
