# What the deployment role may never do, whatever is allowed beside this or attached to it later: the foundation, the
# registry and the other environment are not a deployment's to change. Where the account is that of shared services,
# this guards what ../../shared-services made there.

data "aws_iam_policy_document" "limits" {
  #checkov:skip=CKV_AWS_109:these statements deny
  #checkov:skip=CKV_AWS_111:these statements deny
  #checkov:skip=CKV_AWS_356:these statements deny

  # A deny may have wildcards: more is forbidden by it, not less.
  statement {
    sid     = "NoRolesButThoseOfDeployments"
    effect  = "Deny"
    actions = ["iam:Add*", "iam:Attach*", "iam:Create*", "iam:Delete*", "iam:Detach*", "iam:PassRole", "iam:Put*", "iam:Set*", "iam:Update*"]
    not_resources = [
      local.service_role_arns,
      "arn:${local.partition}:iam::${var.account_id}:role/aws-service-role/*",
    ]
  }

  statement {
    sid       = "TheBoundaryStays"
    effect    = "Deny"
    actions   = ["iam:DeleteRolePermissionsBoundary"]
    resources = ["*"]
  }

  # Versions are made by training and approved by people.
  statement {
    sid    = "TheRegistryIsReadOnly"
    effect = "Deny"
    actions = [
      "sagemaker:CreateModelPackage*",
      "sagemaker:DeleteModelPackage*",
      "sagemaker:PutModelPackageGroupPolicy",
      "sagemaker:UpdateModelPackage",
    ]
    resources = ["*"]
  }

  # The other states: the foundation's and, where this is the account of shared services, the repositories' and the
  # other environment's; and there the sources.
  statement {
    sid     = "NoOtherStateAndNoSource"
    effect  = "Deny"
    actions = ["s3:GetObject*", "s3:PutObject*", "s3:DeleteObject*"]
    resources = [
      "${local.state_bucket_arn}/foundation/*",
      "${local.state_bucket_arn}/delivery/*",
      "${local.state_bucket_arn}/deployment/*/${local.other_environment}.tfstate*",
      "${local.source_bucket_arn}/*",
    ]
  }

  # With one account, endpoints and what belongs to them lie side by side and have whatever name their configuration
  # gives them. The tag says whose they are; what has no tag is not guarded by this.
  statement {
    sid    = "NotTheOtherEnvironment"
    effect = "Deny"
    actions = [
      "application-autoscaling:*",
      "cloudwatch:*",
      "events:*",
      "lambda:*",
      "logs:*",
      "sagemaker:*",
    ]
    resources = ["*"]

    condition {
      test     = "StringEquals"
      variable = "aws:ResourceTag/environment"
      values   = [local.other_environment]
    }
  }

  statement {
    sid    = "NotTheFoundation"
    effect = "Deny"
    actions = [
      "cloudwatch:DeleteAlarms",
      "cloudwatch:PutMetricAlarm",
      "lambda:*",
      "logs:Delete*",
      "logs:Put*",
      "s3:CreateBucket",
      "s3:DeleteBucket*",
      "s3:Put*Configuration",
      "s3:PutBucket*",
    ]
    resources = [
      local.state_bucket_arn,
      local.shared_state_bucket_arn,
      local.source_bucket_arn,
      "arn:${local.partition}:cloudwatch:${var.region}:${var.account_id}:alarm:${var.prefix}-bitbucket-*",
      "arn:${local.partition}:lambda:${var.region}:${var.account_id}:function:${var.prefix}-bitbucket-*",
      "arn:${local.partition}:logs:${var.region}:${var.account_id}:log-group:/aws/lambda/${var.prefix}-bitbucket-*",
      "arn:${local.partition}:logs:${var.region}:${var.account_id}:log-group:/aws/vendedlogs/apigateway/${var.prefix}-bitbucket*",
    ]
  }
}
