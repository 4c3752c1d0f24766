variable "name" {
  description = "What the names of rules, queue, alarm and role begin with."
  type        = string
}

variable "pipeline_arn" {
  description = "The CodePipeline that the events start."
  type        = string
}

variable "start_on" {
  description = "Rule's name -> event pattern as JSON: each such event starts the pipeline."
  type        = map(string)
}

variable "schedule" {
  description = "When to start the pipeline besides: cron(...) or rate(...), in UTC; null for never."
  type        = string
  default     = null
}

variable "notices" {
  description = "Rule's name -> what people are told: the event pattern as JSON, the values that the text takes from the event (JSONPath), and the text, with <value> where one goes."
  type = map(object({
    pattern = string
    values  = map(string)
    text    = string
  }))
  default = {}
}

variable "topic_arn" {
  description = "The SNS topic that notices and alarms go to."
  type        = string
}

variable "permissions_boundary_arn" {
  description = "The policy that bounds every role of the organisation; null for none."
  type        = string
  default     = null
}
