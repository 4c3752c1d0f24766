variable "package" {
  description = "ARN of the model package. A second apply changes it."
  type        = string
}

variable "memory" {
  description = "Memory of the variant, in MB. A second apply changes it."
  type        = number
  default     = 2048
}
