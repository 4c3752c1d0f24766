variable "name" {
  description = "The name of the queue and of its alarm."
  type        = string
}

variable "meaning" {
  description = "What it means that an event lies there: the beginning of what the alarm says."
  type        = string
}

variable "rule_arns" {
  description = "The rules whose events it takes."
  type        = list(string)
}

variable "topic_arn" {
  description = "The SNS topic that the alarm goes to."
  type        = string
}

variable "kms_key_arn" {
  description = "The key that encrypts the events, which must let EventBridge in; null for SQS's own."
  type        = string
  default     = null
}
