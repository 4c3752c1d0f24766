# The most that a role made by a deployment can do: serve and score, and see to nothing else. There is always a
# boundary here, because the deployment role may make roles: without one it could make a stronger one than itself.

locals {
  permissions_boundary_arn = var.permissions_boundary_arn == null ? aws_iam_policy.boundary[0].arn : var.permissions_boundary_arn
}

resource "aws_iam_policy" "boundary" {
  count = var.permissions_boundary_arn == null ? 1 : 0

  name        = "${var.prefix}-production-boundary"
  description = "The most that roles made by deployments of ${var.prefix} can be given"
  policy      = data.aws_iam_policy_document.boundary.json
}

data "aws_iam_policy_document" "boundary" {
  #checkov:skip=CKV_AWS_107:a boundary grants nothing, it only bounds what roles grant
  #checkov:skip=CKV_AWS_108:a boundary grants nothing, it only bounds what roles grant
  #checkov:skip=CKV_AWS_109:a boundary grants nothing, it only bounds what roles grant
  #checkov:skip=CKV_AWS_110:a boundary grants nothing, it only bounds what roles grant
  #checkov:skip=CKV_AWS_111:a boundary grants nothing, it only bounds what roles grant
  #checkov:skip=CKV_AWS_356:a boundary grants nothing, it only bounds what roles grant

  # Wildcards, because a boundary grants nothing: each role's own policy names its actions and resources. No action
  # of IAM but passing a role on, and none that assumes another role.
  statement {
    sid = "ServeAndScore"
    actions = [
      "cloudwatch:PutMetricData",
      "ec2:*NetworkInterface*",
      "ec2:*PrivateIpAddresses",
      "ec2:Describe*",
      "ecr:BatchCheckLayerAvailability",
      "ecr:BatchGetImage",
      "ecr:GetAuthorizationToken",
      "ecr:GetDownloadUrlForLayer",
      "kms:CreateGrant",
      "kms:Decrypt",
      "kms:DescribeKey",
      "kms:Encrypt",
      "kms:GenerateDataKey*",
      "kms:ReEncrypt*",
      "lambda:InvokeFunction",
      "logs:CreateLogStream",
      "logs:CreateLogGroup",
      "logs:DescribeLogStreams",
      "logs:PutLogEvents",
      "s3:AbortMultipartUpload",
      "s3:DeleteObject",
      "s3:GetBucketLocation",
      "s3:GetObject*",
      "s3:ListBucket*",
      "s3:PutObject",
      "sagemaker:*",
      "secretsmanager:GetSecretValue",
      "sns:Publish",
      "sqs:*Message*",
      "sqs:GetQueueAttributes",
      "ssm:GetParameter*",
    ]
    resources = ["*"]
  }

  # A pipeline started by an event passes its own role to the jobs it starts, and to SageMaker only.
  statement {
    sid       = "PassRolesToSageMaker"
    actions   = ["iam:PassRole", "iam:GetRole"]
    resources = [local.service_role_arns]

    condition {
      test     = "StringEqualsIfExists"
      variable = "iam:PassedToService"
      values   = ["sagemaker.amazonaws.com"]
    }
  }

  statement {
    sid       = "NotTheState"
    effect    = "Deny"
    actions   = ["s3:*"]
    resources = [local.state_bucket_arn, "${local.state_bucket_arn}/*"]
  }
}
