# The role with which builds in shared services deploy to production.

locals {
  # Roles that deployments make for Lambda, SageMaker and EventBridge have this path: that is how the deployment role
  # is kept to them.
  service_role_path = "/${var.prefix}/service/"
  service_role_arns = "arn:${local.partition}:iam::${local.account_id}:role${local.service_role_path}*"
}

resource "aws_iam_role" "deployment" {
  name                 = "${var.prefix}-deployment"
  description          = "Deploys models; assumed by roles under /${var.prefix}/deploy/ of shared services"
  assume_role_policy   = data.aws_iam_policy_document.deployment_trust.json
  max_session_duration = 3600
}

# Roles of builds that deploy are made with the path /<prefix>/deploy/ by the repositories. The path is the
# convention: a new repository needs no change here, and a build that only trains is not let in.
data "aws_iam_policy_document" "deployment_trust" {
  statement {
    sid     = "BuildsThatDeploy"
    actions = ["sts:AssumeRole"]

    # The account, and the condition chooses from it. A list of roles would name roles that do not exist yet.
    principals {
      type        = "AWS"
      identifiers = ["arn:${local.partition}:iam::${var.shared_services_account_id}:root"]
    }

    # The name after the path is the repository's choice.
    condition {
      test     = "ArnLike"
      variable = "aws:PrincipalArn"
      values   = ["arn:${local.partition}:iam::${var.shared_services_account_id}:role/${var.prefix}/deploy/*"]
    }
  }
}

# One policy for each subject; together they stay under the 10,240 characters that a role's inline policies may have.
resource "aws_iam_role_policy" "deployment" {
  for_each = {
    models = data.aws_iam_policy_document.models.json
    events = data.aws_iam_policy_document.events.json
    data   = data.aws_iam_policy_document.data.json
    roles  = data.aws_iam_policy_document.roles.json
    limits = data.aws_iam_policy_document.limits.json
  }

  name   = each.key
  role   = aws_iam_role.deployment.id
  policy = each.value
}
