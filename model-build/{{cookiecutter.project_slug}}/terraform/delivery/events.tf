# When the pipeline starts, and what people hear of it.

module "events" {
  source = "../modules/events"

  name                     = local.name
  pipeline_arn             = aws_codepipeline.this.arn
  topic_arn                = local.topic
  source_object            = local.source
  failure                  = "a push did not get as far as training"
  permissions_boundary_arn = local.boundary
  schedule                 = lookup(local.model, "schedule", null)

  notices = {
    training-failed = {
      pattern = jsonencode({
        source      = ["aws.sagemaker"]
        detail-type = ["SageMaker Model Building Pipeline Execution Status Change"]
        detail      = { pipelineArn = [local.pipeline_arn], currentPipelineExecutionStatus = ["Failed"] }
      })
      values = { execution = "$.detail.pipelineExecutionArn" }
      text   = "${local.name}: training failed, or the model was not good enough. Which step, and why: aws sagemaker list-pipeline-execution-steps --region ${local.region} --pipeline-execution-arn <execution>"
    }
    approval-wanted = {
      pattern = jsonencode({
        source      = ["aws.sagemaker"]
        detail-type = ["SageMaker Model Package State Change"]
        detail = {
          ModelPackageGroupName = [local.name]
          ModelPackageStatus    = ["Completed"]
          ModelApprovalStatus   = ["PendingManualApproval"]
        }
      })
      values = { version = "$.detail.ModelPackageVersion", arn = "$.detail.ModelPackageArn" }
      text   = "${local.name}: version <version> waits for approval. To see it beside the live one, and to decide, in a clone of the repository: make compare, make approve, or make reject with a reason. Without one: aws sagemaker describe-model-package --region ${local.region} --model-package-name <arn>, and aws sagemaker update-model-package --region ${local.region} --model-approval-status Approved --model-package-arn <arn>"
    }
  }
}
