variable "alias" {
  description = "The key's alias, without `alias/`."
  type        = string
}

variable "description" {
  description = "What the key is for."
  type        = string
}

variable "services" {
  description = "Service principals that use the key on behalf of this account and name the account when they do."
  type        = list(string)
}
