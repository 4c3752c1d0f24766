variable "name" {
  description = "The bucket's name."
  type        = string
}

variable "kms_key_arn" {
  description = "The key that encrypts objects which come without a key of their own."
  type        = string
}

variable "readers" {
  description = "Another account whose principals read the objects below some prefixes; null for none. Principals are ARNs, with * for any part of a name; prefixes end with /."
  type = object({
    account_id     = string
    principal_arns = list(string)
    prefixes       = list(string)
  })
  default = null
}

variable "expire_days" {
  description = "Prefix, ending with /, -> days after which the objects below it are deleted."
  type        = map(number)
  default     = {}
}

variable "noncurrent_days" {
  description = "Days that a replaced or deleted object can still be brought back."
  type        = number
  default     = 90
}

variable "eventbridge" {
  description = "Whether the bucket's events go to EventBridge."
  type        = bool
  default     = false
}

variable "delete_data" {
  description = "Whether destroying the bucket deletes what is in it; otherwise a bucket that is not empty stays."
  type        = bool
  default     = false
}
