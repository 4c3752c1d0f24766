# The role with which builds in shared services deploy.

resource "aws_iam_role" "deployment" {
  name                 = "${var.prefix}-deployment${local.suffix}"
  description          = "Deploys models to ${var.environment}; assumed by roles under ${local.build_role_path} of shared services"
  assume_role_policy   = data.aws_iam_policy_document.deployment_trust.json
  max_session_duration = 3600
}

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
      values   = [local.build_role_arns]
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
