# When the pipeline starts, and what people hear of it. That an approval is wanted, the action says itself (pipeline.tf).

module "events" {
  source = "../modules/events"

  name                     = local.name
  pipeline_arn             = aws_codepipeline.this.arn
  topic_arn                = local.topic
  permissions_boundary_arn = local.boundary

  start_on = {
    source = jsonencode({
      source      = ["aws.s3"]
      detail-type = ["Object Created"]
      detail = {
        bucket = { name = [local.source.bucket] }
        object = { key = [local.source.key] }
      }
    })

    # Rejected too: what is live may be what was rejected. One change can be told several times, and an edit of a
    # version's description tells Approved again: the build that finds nothing new changes nothing.
    model = jsonencode({
      source      = ["aws.sagemaker"]
      detail-type = ["SageMaker Model Package State Change"]
      detail = {
        ModelPackageGroupName = [local.group]
        ModelApprovalStatus   = ["Approved", "Rejected"]
      }
    })
  }

  notices = {
    delivery-failed = {
      pattern = jsonencode({
        source      = ["aws.codepipeline"]
        detail-type = ["CodePipeline Pipeline Execution State Change"]
        detail      = { pipeline = [local.name], state = ["FAILED"] }
      })
      values = { execution = "$.detail.execution-id" }
      text   = "${local.name}: a model was not deployed (execution <execution>): a build failed, or a person said no. Which action, and its log: https://${local.region}.console.aws.amazon.com/codesuite/codepipeline/pipelines/${local.name}/executions/<execution>/timeline?region=${local.region}"
    }
  }
}
