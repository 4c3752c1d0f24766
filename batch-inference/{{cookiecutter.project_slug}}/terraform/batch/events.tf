# What starts the pipeline, and what people are told.

locals {
  input = local.settings.input.prefix

  # How the names of data files end (functions/places.py). A folder that somebody makes in the console is an empty object
  # too, with a name that ends in /: a pattern cannot say "below input/, and not a folder".
  endings = flatten([
    for format in local.settings.input.formats : [
      for ending in { csv = [".csv"], jsonl = [".jsonl", ".ndjson"] }[format] :
      [ending, "${ending}.gz", upper(ending), upper("${ending}.gz")]
    ]
  ])

  # for the sentence about an execution that failed
  look = "--region ${local.region} --pipeline-execution-arn <execution>"
}

# Files only: answers (output/) and what the pipeline makes on its way (work/) lie in the same bucket.
resource "aws_cloudwatch_event_rule" "input" {
  count = local.enabled

  name        = "${local.slug}-input-${var.environment}"
  description = "Starts the pipeline ${local.name} for a file below ${local.input}"

  event_pattern = jsonencode({
    source      = ["aws.s3"]
    detail-type = ["Object Created"]
    detail = {
      bucket = { name = [local.record.bucket] }
      object = {
        key  = [{ prefix = local.input }]
        size = [{ numeric = [">", 0] }]
      }
    }
  })
}

resource "aws_cloudwatch_event_target" "input" {
  count = local.enabled

  rule      = aws_cloudwatch_event_rule.input[0].name
  target_id = "pipeline"
  arn       = aws_sagemaker_pipeline.this[0].arn
  role_arn  = module.events_role[0].arn

  sagemaker_pipeline_target {
    dynamic "pipeline_parameter_list" {
      for_each = {
        Bucket  = "$.detail.bucket.name"
        Key     = "$.detail.object.key"
        Version = "$.detail.object.version-id"
      }
      content {
        name  = pipeline_parameter_list.key
        value = pipeline_parameter_list.value
      }
    }
  }

  # Many files at once are more than SageMaker begins at a time: what it refuses is tried again, less and less often.
  retry_policy {
    maximum_event_age_in_seconds = 86400 # a day
    maximum_retry_attempts       = 185
  }

  dead_letter_config {
    arn = module.undelivered[0].arn
  }
}

module "notices" {
  source = "../modules/notices"
  count  = local.enabled

  name                  = local.slug
  suffix                = "-${var.environment}"
  topic_arn             = local.topic
  undelivered_queue_arn = module.undelivered[0].arn

  notices = {
    empty = {
      pattern = jsonencode({
        source      = ["aws.s3"]
        detail-type = ["Object Created"]
        detail = {
          bucket = { name = [local.record.bucket] }
          object = {
            key  = [for ending in local.endings : { wildcard = "${local.input}*${ending}" }]
            size = [0]
          }
        }
      })
      values = { bucket = "$.detail.bucket.name", key = "$.detail.object.key" }
      text   = "${local.name}: s3://<bucket>/<key> is empty (0 bytes), so nothing was started for it. Was its upload cut off? Put it there again."
    }
    failed = {
      pattern = jsonencode({
        source      = ["aws.sagemaker"]
        detail-type = ["SageMaker Model Building Pipeline Execution Status Change"]
        detail = {
          pipelineArn                    = [local.pipeline_arn]
          currentPipelineExecutionStatus = ["Failed", "Stopped"]
        }
      })
      values = { execution = "$.detail.pipelineExecutionArn", status = "$.detail.currentPipelineExecutionStatus" }
      text   = "${local.name}: a file has no answers, its execution is <status>. Which file: aws sagemaker list-pipeline-parameters-for-execution ${local.look} Why: aws sagemaker list-pipeline-execution-steps ${local.look}"
    }
  }
}

module "undelivered" {
  source = "../modules/undelivered"
  count  = local.enabled

  name        = "${local.slug}-undelivered-${var.environment}"
  meaning     = "A file could not start the pipeline ${local.name}, or people could not be told of something."
  rule_arns   = [for rule in ["input", "empty", "failed"] : "${local.rules_arn}/${local.slug}-${rule}-${var.environment}"]
  topic_arn   = local.topic
  kms_key_arn = local.kms_key_arn
}
