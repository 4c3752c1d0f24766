variable "name" {
  description = "What the names of the rules begin with."
  type        = string
}

variable "suffix" {
  description = "What the names of the rules end with."
  type        = string
  default     = ""
}

variable "notices" {
  description = "Rule's name -> the event pattern as JSON, the values that the text takes from the event (JSONPath), and the text, with <value> where one goes."
  type = map(object({
    pattern = string
    values  = map(string)
    text    = string
  }))
}

variable "topic_arn" {
  description = "The SNS topic that is told."
  type        = string
}

variable "undelivered_queue_arn" {
  description = "The SQS queue for what the topic does not take."
  type        = string
}
