# What the deployment role may do with data, keys and roles.

data "aws_iam_policy_document" "data" {
  # The role can open buckets of other accounts whose name fits only if those let it.
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
    resources = [local.deployment_buckets, "${local.deployment_buckets}/*"]
  }

  # A folder for each repository, and in it one state for each environment, with its lock file while it is in use.
  statement {
    sid     = "StateOfDeployments"
    actions = ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"]
    resources = [
      "${local.state_bucket_arn}/deployment/*/${var.environment}.tfstate",
      "${local.state_bucket_arn}/deployment/*/${var.environment}.tfstate.tflock",
    ]
  }

  # Without it S3 answers 403 instead of 404 for a state that is not there yet.
  statement {
    sid       = "ListTheState"
    actions   = ["s3:ListBucket"]
    resources = [local.state_bucket_arn]
  }

  # Through the services that encrypt for deployments only: in shared services the same key has the sources and the
  # secrets too.
  statement {
    sid       = "UseTheKeys"
    actions   = ["kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey*", "kms:ReEncrypt*"]
    resources = distinct([var.kms_key_arn, var.state_key_arn])

    condition {
      test     = "StringEquals"
      variable = "kms:ViaService"
      values   = [for service in ["lambda", "s3", "sagemaker", "sns"] : "${service}.${var.region}.amazonaws.com"]
    }
  }

  statement {
    sid       = "LookAtTheKeys"
    actions   = ["kms:DescribeKey"]
    resources = distinct([var.kms_key_arn, var.state_key_arn])
  }

  # SageMaker encrypts the disks of an endpoint by a grant.
  statement {
    sid       = "GrantTheKeyToServices"
    actions   = ["kms:CreateGrant", "kms:ListGrants", "kms:RevokeGrant"]
    resources = [var.kms_key_arn]

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

  # IAM looks for a role first and for permission then: who may ask only about roles under a path is told "access denied",
  # not "no such role", about one that is gone. Without this, a role that was deleted by hand ends every later plan.
  # Roles of every path (role/*) can be read by it, and nothing else be done to them.
  statement {
    sid       = "SeeThatARoleIsGone"
    actions   = ["iam:GetRole", "iam:GetRolePolicy"]
    resources = ["arn:${local.partition}:iam::${var.account_id}:role/*"]
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
    resources = ["arn:${local.partition}:iam::${var.account_id}:role/aws-service-role/sagemaker.application-autoscaling.amazonaws.com/*"]

    condition {
      test     = "StringEquals"
      variable = "iam:AWSServiceName"
      values   = ["sagemaker.application-autoscaling.amazonaws.com"]
    }
  }
}
