# The SageMaker pipeline. Its definition is the build's; an execution that has begun goes on with the one that it began with.

resource "aws_sagemaker_pipeline" "this" {
  count = local.enabled

  pipeline_name         = local.name
  pipeline_display_name = local.name
  pipeline_description  = "${local.project.name}: answers files in ${local.record.bucket}"
  pipeline_definition   = local.definition
  role_arn              = module.jobs_role[0].arn

  # a definition that calls new functions comes after them
  depends_on = [aws_lambda_function.this]

  lifecycle {
    precondition {
      condition     = sha256(local.definition) == local.record.definition_sha256
      error_message = "${local.record.definition}: expected the file whose SHA-256 the record names (definition_sha256), got another"
    }
    precondition {
      condition     = length(local.definition) <= 1048576
      error_message = "${local.record.definition}: ${length(local.definition)} characters; SageMaker takes at most 1,048,576"
    }
  }
}

locals {
  definition = file("${dirname(var.deployment)}/${local.record.definition}")
}
