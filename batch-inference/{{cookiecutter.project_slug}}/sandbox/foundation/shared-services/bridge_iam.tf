# What each of the bridge's functions may do.

locals {
  webhook_secret_prefix = "${var.prefix}/bitbucket/webhook/"
  bridge_policies = local.is_data_center ? {
    webhook = data.aws_iam_policy_document.webhook[0].json
    fetch   = data.aws_iam_policy_document.fetch[0].json
  } : {}
}

resource "aws_iam_role" "bridge" {
  for_each = local.bridge_functions

  name                 = "${local.bridge_name}-${each.key}"
  description          = "What the bridge's ${each.key} function may do"
  assume_role_policy   = data.aws_iam_policy_document.lambda_trust.json
  permissions_boundary = local.permissions_boundary_arn
}

resource "aws_iam_role_policy" "bridge" {
  for_each = local.bridge_functions

  name   = "bridge"
  role   = aws_iam_role.bridge[each.key].id
  policy = local.bridge_policies[each.key]
}

# Lambda sets no aws:SourceAccount when it assumes a function's role. Only who may pass the role can use it.
data "aws_iam_policy_document" "lambda_trust" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["lambda.amazonaws.com"]
    }
  }
}

data "aws_iam_policy_document" "webhook" {
  count = local.is_data_center ? 1 : 0

  # One secret for each repository, made when it registers; Secrets Manager adds a random end to each ARN.
  statement {
    sid     = "ReadTheSecretsOfWebhooks"
    actions = ["secretsmanager:GetSecretValue"]
    resources = [
      "arn:${local.partition}:secretsmanager:${var.region}:${local.account_id}:secret:${local.webhook_secret_prefix}*",
    ]
  }

  statement {
    sid       = "Queue"
    actions   = ["sqs:SendMessage"]
    resources = [aws_sqs_queue.bitbucket[0].arn]
  }

  statement {
    sid       = "Decrypt"
    actions   = ["kms:Decrypt", "kms:GenerateDataKey"]
    resources = [module.key.arn]

    condition {
      test     = "StringEquals"
      variable = "kms:ViaService"
      values   = ["secretsmanager.${var.region}.amazonaws.com", "sqs.${var.region}.amazonaws.com"]
    }
  }

  # Every instance of the function writes a stream of its own into the group.
  statement {
    sid       = "Log"
    actions   = ["logs:CreateLogStream", "logs:PutLogEvents"]
    resources = ["${aws_cloudwatch_log_group.bridge["webhook"].arn}:*"]
  }
}

data "aws_iam_policy_document" "fetch" {
  count = local.is_data_center ? 1 : 0

  # The mapping polls the queue in the function's name.
  statement {
    sid       = "TakeFromTheQueue"
    actions   = ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ChangeMessageVisibility"]
    resources = [aws_sqs_queue.bitbucket[0].arn]
  }

  statement {
    sid       = "ReadTheToken"
    actions   = ["secretsmanager:GetSecretValue"]
    resources = [aws_secretsmanager_secret.token[0].arn]
  }

  # Every repository and branch has a key of its own; reading tells which commit is there already.
  statement {
    sid       = "WriteSources"
    actions   = ["s3:PutObject", "s3:GetObject"]
    resources = ["${module.source_bucket.arn}/*"]
  }

  # Without it S3 answers 403 instead of 404 for what is not there yet.
  statement {
    sid       = "TellWhatIsAbsent"
    actions   = ["s3:ListBucket"]
    resources = [module.source_bucket.arn]
  }

  statement {
    sid       = "Encrypt"
    actions   = ["kms:Decrypt", "kms:GenerateDataKey"]
    resources = [module.key.arn]

    condition {
      test     = "StringEquals"
      variable = "kms:ViaService"
      values = [
        "s3.${var.region}.amazonaws.com",
        "secretsmanager.${var.region}.amazonaws.com",
        "sqs.${var.region}.amazonaws.com",
      ]
    }
  }

  # Every instance of the function writes a stream of its own into the group.
  statement {
    sid       = "Log"
    actions   = ["logs:CreateLogStream", "logs:PutLogEvents"]
    resources = ["${aws_cloudwatch_log_group.bridge["fetch"].arn}:*"]
  }

  # These calls take no resource that is known beforehand: Lambda makes interfaces in the given subnets with them.
  dynamic "statement" {
    for_each = var.fetch_network == null ? [] : [1]

    content {
      sid = "InterfacesInTheNetwork"
      actions = [
        "ec2:CreateNetworkInterface",
        "ec2:DescribeNetworkInterfaces",
        "ec2:DescribeSubnets",
        "ec2:DeleteNetworkInterface",
        "ec2:AssignPrivateIpAddresses",
        "ec2:UnassignPrivateIpAddresses",
      ]
      resources = ["*"]
    }
  }
}
