variable "delete_data" {
  description = "Whether destroying also deletes the bucket's records of deployments and reports; otherwise a bucket that is not empty stays."
  type        = bool
  default     = false
}
