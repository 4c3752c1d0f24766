# What the deployment role may do with data, keys, roles - and what it may never do.

data "aws_iam_policy_document" "data" {
  # Buckets of deployments begin with the prefix; an ARN of S3 has neither account nor region. Buckets of other
  # accounts that match are still theirs to open.
  statement {
    sid = "BucketsOfDeployments"
    actions = [
      "s3:CreateBucket",
      "s3:DeleteBucket",
      "s3:DeleteBucketPolicy",
      "s3:DeleteObject*",
      "s3:Get*",
      "s3:ListBucket*",
      "s3:PutBucket*",
      "s3:PutEncryptionConfiguration",
      "s3:PutLifecycleConfiguration",
      "s3:PutObject",
      "s3:PutObjectTagging",
    ]
    resources = [
      "arn:${local.partition}:s3:::${var.prefix}-*",
      "arn:${local.partition}:s3:::${var.prefix}-*/*",
    ]
  }

  # The state of deployments; what else lies in the bucket is denied under "limits".
  statement {
    sid       = "StateOfDeployments"
    actions   = ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"]
    resources = ["${local.state_bucket_arn}/deployment/*"]
  }

  statement {
    sid       = "ListTheState"
    actions   = ["s3:ListBucket"]
    resources = [local.state_bucket_arn]
  }

  statement {
    sid       = "UseTheKeys"
    actions   = ["kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey*", "kms:ReEncrypt*"]
    resources = distinct([module.key.arn, local.state_key_arn])
  }

  # SageMaker encrypts the disks of an endpoint by a grant.
  statement {
    sid       = "GrantTheKeyToServices"
    actions   = ["kms:CreateGrant", "kms:ListGrants", "kms:RevokeGrant"]
    resources = [module.key.arn]

    condition {
      test     = "Bool"
      variable = "kms:GrantIsForAWSResource"
      values   = ["true"]
    }
  }

  statement {
    sid       = "FindTheFoundation"
    actions   = ["ssm:GetParameter", "ssm:GetParameters"]
    resources = [aws_ssm_parameter.foundation.arn]
  }
}

data "aws_iam_policy_document" "roles" {
  # Only under the path, and only inside the boundary: a deployment cannot make a role stronger than that.
  statement {
    sid = "RolesInsideTheBoundary"
    actions = [
      "iam:AttachRolePolicy",
      "iam:CreateRole",
      "iam:PutRolePermissionsBoundary",
      "iam:PutRolePolicy",
    ]
    resources = [local.service_role_arns]

    condition {
      test     = "StringEquals"
      variable = "iam:PermissionsBoundary"
      values   = [local.permissions_boundary_arn]
    }
  }

  statement {
    sid = "KeepTheRoles"
    actions = [
      "iam:DeleteRole",
      "iam:DeleteRolePolicy",
      "iam:DetachRolePolicy",
      "iam:GetRole",
      "iam:GetRolePolicy",
      "iam:ListAttachedRolePolicies",
      "iam:ListInstanceProfilesForRole",
      "iam:ListRolePolicies",
      "iam:TagRole",
      "iam:UntagRole",
      "iam:UpdateAssumeRolePolicy",
      "iam:UpdateRole*",
    ]
    resources = [local.service_role_arns]
  }

  statement {
    sid       = "PassThem"
    actions   = ["iam:PassRole"]
    resources = [local.service_role_arns]

    condition {
      test     = "StringEquals"
      variable = "iam:PassedToService"
      values   = ["events.amazonaws.com", "lambda.amazonaws.com", "sagemaker.amazonaws.com"]
    }
  }

  # Application Auto Scaling makes its own role at the first use; its path is AWS's.
  statement {
    sid       = "RoleOfAutoScaling"
    actions   = ["iam:CreateServiceLinkedRole"]
    resources = ["arn:${local.partition}:iam::${local.account_id}:role/aws-service-role/sagemaker.application-autoscaling.amazonaws.com/*"]

    condition {
      test     = "StringEquals"
      variable = "iam:AWSServiceName"
      values   = ["sagemaker.application-autoscaling.amazonaws.com"]
    }
  }
}

# Whatever is allowed above, or attached later: the foundation is not a deployment's to change. In a single account
# this also guards what ../shared-services made there.
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
      "arn:${local.partition}:iam::${local.account_id}:role/aws-service-role/*",
    ]
  }

  statement {
    sid       = "TheBoundaryStays"
    effect    = "Deny"
    actions   = ["iam:DeleteRolePermissionsBoundary"]
    resources = ["*"]
  }

  # The other states: the foundation's and, in a single account, the repositories'; and there the sources.
  statement {
    sid     = "NoOtherStateAndNoSource"
    effect  = "Deny"
    actions = ["s3:GetObject*", "s3:PutObject*", "s3:DeleteObject*"]
    resources = [
      "${local.state_bucket_arn}/foundation/*",
      "${local.state_bucket_arn}/delivery/*",
      "arn:${local.partition}:s3:::${var.prefix}-source-${var.shared_services_account_id}-${var.region}/*",
    ]
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
      "arn:${local.partition}:s3:::${local.shared_state_bucket}",
      "arn:${local.partition}:s3:::${var.prefix}-source-${var.shared_services_account_id}-${var.region}",
      "arn:${local.partition}:cloudwatch:${var.region}:${local.account_id}:alarm:${var.prefix}-bitbucket-*",
      "arn:${local.partition}:lambda:${var.region}:${local.account_id}:function:${var.prefix}-bitbucket-*",
      "arn:${local.partition}:logs:${var.region}:${local.account_id}:log-group:/aws/lambda/${var.prefix}-bitbucket-*",
      "arn:${local.partition}:logs:${var.region}:${local.account_id}:log-group:/aws/vendedlogs/apigateway/${var.prefix}-bitbucket*",
    ]
  }
}
