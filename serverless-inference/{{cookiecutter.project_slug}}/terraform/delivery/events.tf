# When the pipeline starts, and what people hear of it. That an approval is wanted, the action says itself (pipeline.tf).

module "events" {
  source = "../modules/events"

  name                     = local.name
  pipeline_arn             = aws_codepipeline.this.arn
  topic_arn                = local.topic
  source_object            = local.source
  failure                  = "a model was not deployed, as a build failed or a person said no"
  permissions_boundary_arn = local.boundary

  start_on = {
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
}
