variable "watched" {
  description = "What answers: the repository's slug, the environment, and the name that is in the metrics (of the endpoint, or of the batch pipeline)."
  type = object({
    slug        = string
    environment = string
    name        = string
  })
}

variable "foundation" {
  description = "What the organisation's foundation says about itself."
  type = object({
    kms_key_arn              = string
    notifications_topic_arn  = string
    service_role_path        = string
    permissions_boundary_arn = string
    log_retention_days       = number
  })
}

variable "settings" {
  description = "What the configuration says: how many days are compared, with fewer than how many texts there is no verdict, above which drift people are told, and when it is looked (cron, UTC)."
  type = object({
    days     = number
    texts    = number
    drift    = number
    schedule = string
  })
}

variable "code" {
  description = "The zip with the functions' code, and its SHA-256 in base64."
  type        = object({ file = string, sha256 = string })
}

variable "log_group" {
  description = "The log group with the model's lines; null where something else makes metrics of them."
  type        = object({ name = string, arn = string })
  default     = null
}

variable "model" {
  description = "The version that is live, and where its archive is; null: the newest approved version of `registry` answers."
  type        = object({ version = string, data_url = string })
  default     = null
}

variable "registry" {
  description = "The model package group, whose newest approved version answers; null where `model` says which."
  type        = object({ group_arn = string, versions_arn = string })
  default     = null

  validation {
    condition     = (var.registry == null) != (var.model == null)
    error_message = "registry: expected either model or registry, got ${var.registry == null ? "neither" : "both"}"
  }
}

variable "models" {
  description = "The bucket with the models, its account, and which of its objects (with * for any part) hold the training data's profile."
  type        = object({ bucket_arn = string, account = string, profiles = string })
}

variable "only_target" {
  description = "What the only target of a model is called in the metrics; empty: by its own name."
  type        = string
  default     = ""
}

variable "dashboard_url" {
  description = "Where the figures are drawn, for whoever an alarm has woken."
  type        = string
}

variable "first_row" {
  description = "Where on the dashboard the widgets begin."
  type        = number
}
