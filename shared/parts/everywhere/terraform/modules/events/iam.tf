module "role" {
  source = "../service-role"

  name                     = "${var.name}-events"
  description              = "EventBridge starts the pipeline ${var.name}"
  service                  = "events.amazonaws.com"
  source_arns              = local.start_rules
  policy                   = data.aws_iam_policy_document.role.json
  permissions_boundary_arn = var.permissions_boundary_arn
}

data "aws_iam_policy_document" "role" {
  statement {
    sid       = "StartPipeline"
    actions   = ["codepipeline:StartPipelineExecution"]
    resources = [var.pipeline_arn]
  }
}
