variable "name" {
  description = "The pipeline's name; the names of rules, queue, alarm and role begin with it."
  type        = string
}

variable "pipeline_arn" {
  description = "The CodePipeline that the events start."
  type        = string
}

variable "source_object" {
  description = "The archive that the pipeline takes its source from: it starts when this is written; null where it takes none from S3."
  type = object({
    bucket = string
    key    = string
  })
  default = null
}

variable "start_on" {
  description = "What starts the pipeline besides: rule's name -> event pattern as JSON."
  type        = map(string)
  default     = {}
}

variable "schedule" {
  description = "When to start the pipeline besides: cron(...) or rate(...), in UTC; null for never."
  type        = string
  default     = null
}

variable "failure" {
  description = "What an execution that failed has not done: the beginning of what people are then told."
  type        = string
}

variable "notices" {
  description = "What people are told besides: rule's name -> the event pattern as JSON, the values that the text takes from the event (JSONPath), and the text, with <value> where one goes."
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
