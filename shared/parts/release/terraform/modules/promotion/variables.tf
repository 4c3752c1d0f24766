variable "project" {
  description = "What config/project.yaml says."
  type = object({
    name        = string
    slug        = string
    prefix      = string
    region      = string
    accounts    = object({ shared_services = string })
    bucket      = string
    bitbucket   = object({ repository = string })
    kms_key_arn = optional(string)
  })
}

variable "foundation" {
  description = "What the organisation's foundation says about itself."
  type = object({
    source_bucket            = string
    kms_key_arn              = string
    notifications_topic_arn  = string
    deployment_role_arn      = string
    permissions_boundary_arn = optional(string)
    log_retention_days       = number
  })
}

variable "builds" {
  description = "staging and production -> what the build does, for the console, and what it may do besides what is in build.tf, as JSON."
  type = map(object({
    description = string
    policy      = optional(string)
  }))

  validation {
    condition     = toset(keys(var.builds)) == toset(["production", "staging"])
    error_message = "builds: expected production and staging, got ${join(", ", keys(var.builds))}"
  }
}

variable "start_on" {
  description = "What starts the pipeline besides a new source: rule's name -> event pattern as JSON."
  type        = map(string)
  default     = {}
}

variable "failure" {
  description = "What an execution that failed has not done: the beginning of what people are then told."
  type        = string
}

variable "delete_data" {
  description = "Whether destroying also deletes the bucket's records of deployments and reports; otherwise a bucket that is not empty stays."
  type        = bool
  default     = false
}
