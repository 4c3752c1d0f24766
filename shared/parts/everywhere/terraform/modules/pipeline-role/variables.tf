variable "name" {
  description = "The role's name."
  type        = string
}

variable "description" {
  description = "One line for the console: which pipeline acts as this role, and to do what."
  type        = string
}

variable "source_object" {
  description = "The archive that the pipeline starts from, and the key that encrypts it."
  type = object({
    bucket      = string
    key         = string
    kms_key_arn = string
  })
}

variable "artifacts" {
  description = "Where the pipeline keeps what it passes between actions: the bucket's ARN, the pipeline's prefix, ending with /, and the key that encrypts it."
  type = object({
    bucket_arn  = string
    prefix      = string
    kms_key_arn = string
  })
}

variable "build_arns" {
  description = "The CodeBuild projects that it starts."
  type        = list(string)
}

variable "approval_topic" {
  description = "The SNS topic by which it asks for approval, and the key that encrypts the topic; null where it asks nobody."
  type = object({
    arn         = string
    kms_key_arn = string
  })
  default = null
}

variable "permissions_boundary_arn" {
  description = "The policy that bounds every role of the organisation; null for none."
  type        = string
  default     = null
}
