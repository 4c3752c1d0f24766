# The most that a role made by a deployment can do: serve and score, and see to nothing else. There is always a
# boundary here, because the deployment role may make roles: without one it could make a stronger one than itself.

locals {
  permissions_boundary_arn = var.permissions_boundary_arn == null ? aws_iam_policy.boundary[0].arn : var.permissions_boundary_arn
}

resource "aws_iam_policy" "boundary" {
  count = var.permissions_boundary_arn == null ? 1 : 0

  name        = "${var.prefix}-${var.environment}-boundary"
  description = "The most that roles made by deployments of ${var.prefix} can be given" # IAM lets nobody change it
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
  # of IAM but passing a role on, and none that assumes another role. Nothing that trains, and nothing that changes the
  # registry: it lies in the account of shared services, where staging is.
  statement {
    sid = "ServeAndScore"
    actions = [
      "cloudwatch:GetMetricData",
      "cloudwatch:PutMetricData",
      "ec2:*NetworkInterface*",
      "ec2:*PrivateIpAddresses",
      "ec2:Describe*",
      "ecr:BatchCheckLayerAvailability",
      "ecr:BatchGetImage",
      "ecr:GetAuthorizationToken",
      "ecr:GetDownloadUrlForLayer",
      "kms:Decrypt",
      "kms:DescribeKey",
      "kms:Encrypt",
      "kms:GenerateDataKey*",
      "kms:ReEncrypt*",
      "logs:CreateLogGroup",
      "logs:CreateLogStream",
      "logs:DescribeLogStreams",
      "logs:PutLogEvents",
      "s3:GetBucketLocation",
      "s3:ListBucket*",
      "sagemaker:*ProcessingJob*",
      "sagemaker:*TransformJob*",
      "sagemaker:CreateModel",
      "sagemaker:DeleteModel",
      "sagemaker:Describe*",
      "sagemaker:InvokeEndpoint*",
      "sagemaker:List*",
      "sns:Publish",
      "sqs:*Message*",
      "sqs:GetQueueAttributes",
    ]
    resources = ["*"]
  }

  # Models of any project are read, training data and code are not.
  statement {
    sid     = "ReadModels"
    actions = ["s3:GetObject*"]
    resources = [
      "arn:${local.partition}:s3:::*/models/*",
      "${local.deployment_buckets}/*",
    ]
  }

  # The rest is read, written and started only where its name says that it is this environment's: the data of a version
  # that somebody has approved must stay what it was.
  statement {
    sid = "OwnedByTheEnvironment"
    actions = [
      "lambda:InvokeFunction",
      "s3:AbortMultipartUpload",
      "s3:DeleteObject",
      "s3:PutObject",
      "sagemaker:*PipelineExecution*",
      "sagemaker:AddTags",
      "secretsmanager:GetSecretValue",
      "ssm:GetParameter*",
    ]
    resources = [
      local.functions,
      "${local.functions}:*",
      "${local.deployment_buckets}/*",
      local.pipelines,
      "${local.pipelines}/execution/*",
      "${local.sagemaker}:model/*",
      "${local.sagemaker}:processing-job/*",
      "${local.sagemaker}:transform-job/*",
      # Secrets Manager ends each ARN with a hyphen and six characters.
      "arn:${local.partition}:secretsmanager:${var.region}:${var.account_id}:secret:*-${var.environment}-??????",
      "arn:${local.partition}:ssm:${var.region}:${var.account_id}:parameter/*-${var.environment}",
    ]
  }

  statement {
    sid       = "GrantsThroughServices"
    actions   = ["kms:CreateGrant"]
    resources = ["*"]

    condition {
      test     = "Bool"
      variable = "kms:GrantIsForAWSResource"
      values   = ["true"]
    }
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

  # What the foundation keeps, where this is the account of shared services: states, sources, pushes.
  statement {
    sid     = "NotTheFoundation"
    effect  = "Deny"
    actions = ["s3:*", "sqs:*"]
    resources = [
      local.state_bucket_arn,
      "${local.state_bucket_arn}/*",
      local.shared_state_bucket_arn,
      "${local.shared_state_bucket_arn}/*",
      local.source_bucket_arn,
      "${local.source_bucket_arn}/*",
      "arn:${local.partition}:sqs:${var.region}:${var.account_id}:${var.prefix}-bitbucket*",
    ]
  }
}
