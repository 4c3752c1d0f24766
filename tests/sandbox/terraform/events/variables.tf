variable "code" {
  description = "Path of the function's zip."
  type        = string
}

variable "memory" {
  description = "Memory of the function, in MB. A second apply changes it."
  type        = number
  default     = 128
}
