# A CodeBuild project that a CodePipeline action starts, with its role and its log.

data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}
data "aws_region" "current" {}

locals {
  account   = data.aws_caller_identity.current.account_id
  partition = data.aws_partition.current.partition
  region    = data.aws_region.current.name
}

resource "aws_codebuild_project" "this" {
  name           = var.name
  description    = var.description
  service_role   = module.role.arn
  encryption_key = var.kms_key_arn
  build_timeout  = var.timeout_minutes

  source {
    type      = "CODEPIPELINE"
    buildspec = var.buildspec
  }

  artifacts {
    type = "CODEPIPELINE"
  }

  environment {
    type            = "LINUX_CONTAINER"
    compute_type    = "BUILD_GENERAL1_SMALL"
    image           = "aws/codebuild/standard:7.0"
    privileged_mode = var.privileged

    dynamic "environment_variable" {
      for_each = var.environment
      content {
        name  = environment_variable.key
        value = environment_variable.value
      }
    }
  }

  logs_config {
    cloudwatch_logs {
      group_name = aws_cloudwatch_log_group.this.name
    }
  }
}

resource "aws_cloudwatch_log_group" "this" {
  # checkov:skip=CKV_AWS_338:how long logs are kept is the foundation's setting
  name              = "/aws/codebuild/${var.name}" # CodeBuild's own name for it: made here, so that logs expire
  retention_in_days = var.log_retention_days
  kms_key_id        = var.kms_key_arn
}
