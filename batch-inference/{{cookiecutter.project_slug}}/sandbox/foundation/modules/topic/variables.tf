variable "name" {
  description = "The topic's name."
  type        = string
}

variable "kms_key_arn" {
  description = "ARN of the key that encrypts the messages."
  type        = string
}

variable "subscribers" {
  description = "E-mail addresses that get every message."
  type        = set(string)
}
