# The way to production: source -> staging -> a person -> production, with the bucket that keeps what happened.

data "aws_partition" "current" {}

locals {
  name      = var.project.slug
  region    = var.project.region
  account   = var.project.accounts.shared_services
  partition = data.aws_partition.current.partition
  boundary  = var.foundation.permissions_boundary_arn
  topic     = var.foundation.notifications_topic_arn
  source = {
    bucket = var.foundation.source_bucket
    key    = "${var.project.bitbucket.repository}/main.zip"
  }
}

# When the pipeline starts, and what people hear of it. That an approval is wanted, the action says itself (pipeline.tf).
module "events" {
  source = "../events"

  name                     = local.name
  pipeline_arn             = aws_codepipeline.this.arn
  topic_arn                = local.topic
  source_object            = local.source
  start_on                 = var.start_on
  failure                  = var.failure
  permissions_boundary_arn = local.boundary
}
