# The most that any role of the foundation and of the repositories' pipelines in this account can be given.

locals {
  permissions_boundary_arn = var.create_permissions_boundary ? aws_iam_policy.boundary[0].arn : var.permissions_boundary_arn
}

resource "aws_iam_policy" "boundary" {
  count = var.create_permissions_boundary ? 1 : 0

  name        = "${var.prefix}-boundary"
  description = "The most that roles of ${var.prefix} in this account can be given"
  policy      = data.aws_iam_policy_document.boundary.json
}

data "aws_iam_policy_document" "boundary" {
  #checkov:skip=CKV_AWS_107:a boundary grants nothing, it only bounds what roles grant
  #checkov:skip=CKV_AWS_108:a boundary grants nothing, it only bounds what roles grant
  #checkov:skip=CKV_AWS_109:a boundary grants nothing, it only bounds what roles grant
  #checkov:skip=CKV_AWS_110:a boundary grants nothing, it only bounds what roles grant
  #checkov:skip=CKV_AWS_111:a boundary grants nothing, it only bounds what roles grant
  #checkov:skip=CKV_AWS_356:a boundary grants nothing, it only bounds what roles grant

  # Wildcards, because a boundary grants nothing: each role's own policy names its actions and resources.
  statement {
    sid = "ServicesOfTheDelivery"
    actions = [
      "cloudwatch:*",
      "codebuild:*",
      "codepipeline:*",
      "ecr:BatchCheckLayerAvailability",
      "ecr:BatchGetImage",
      "ecr:CompleteLayerUpload",
      "ecr:DescribeImages",
      "ecr:GetAuthorizationToken",
      "ecr:GetDownloadUrlForLayer",
      "ecr:InitiateLayerUpload",
      "ecr:PutImage",
      "ecr:UploadLayerPart",
      "ec2:*NetworkInterface*",
      "ec2:*PrivateIpAddresses",
      "ec2:Describe*",
      "events:*",
      "iam:GetRole",
      "iam:PassRole",
      "iam:SimulatePrincipalPolicy",
      "kms:*",
      "lambda:*",
      "logs:*",
      "s3:*",
      "sagemaker:*",
      "secretsmanager:DescribeSecret",
      "secretsmanager:GetSecretValue",
      "sns:Publish",
      "sqs:*",
      "ssm:GetParameter*",
      "sts:AssumeRole",
      "sts:GetCallerIdentity",
    ]
    resources = ["*"]
  }

  # Access is not given away, and nothing is made unreadable: not even by a role whose policy says so.
  statement {
    sid    = "NotTheKeys"
    effect = "Deny"
    actions = [
      "kms:CreateKey",
      "kms:DisableKey",
      "kms:PutKeyPolicy",
      "kms:ScheduleKeyDeletion",
      "s3:DeleteBucket",
      "s3:DeleteBucketPolicy",
      "s3:DeleteObjectVersion",
      "s3:PutBucketPolicy",
      "s3:PutBucketPublicAccessBlock",
      "s3:PutBucketVersioning",
    ]
    resources = ["*"]
  }

  statement {
    sid       = "NotTheFoundationsState"
    effect    = "Deny"
    actions   = ["s3:*"]
    resources = ["${module.state_bucket.arn}/foundation/*"]
  }
}
