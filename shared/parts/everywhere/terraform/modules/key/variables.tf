variable "name" {
  description = "What the key is for; its alias is alias/<name>."
  type        = string
}

variable "description" {
  description = "One line for the console."
  type        = string
}

variable "readers" {
  description = "Another account whose principals decrypt objects of this key in S3; null for none. Principals are ARNs, with * for any part of a name."
  type = object({
    account_id     = string
    principal_arns = list(string)
  })
  default = null
}

variable "log_groups" {
  description = "Names of the CloudWatch log groups that the key encrypts; * at the end for any."
  type        = list(string)
  default     = []
}
