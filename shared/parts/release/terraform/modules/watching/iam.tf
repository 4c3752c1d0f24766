# What the functions act as. Neither puts a metric: CloudWatch takes those from their logs.

module "role" {
  source   = "../service-role"
  for_each = local.functions

  name                     = "${var.watched.slug}-${var.watched.environment}-${each.key}"
  path                     = var.foundation.service_role_path
  description              = "The function ${each.value}"
  service                  = "lambda.amazonaws.com"
  policy                   = data.aws_iam_policy_document.function[each.key].json
  permissions_boundary_arn = var.foundation.permissions_boundary_arn
}

data "aws_iam_policy_document" "function" {
  for_each = local.functions

  source_policy_documents = each.key == "drift" ? [data.aws_iam_policy_document.drift.json] : []

  statement {
    sid       = "WriteLog" # every instance of the function writes a stream of its own
    actions   = ["logs:CreateLogStream", "logs:PutLogEvents"]
    resources = ["${aws_cloudwatch_log_group.this[each.key].arn}:*"]
  }
}

data "aws_iam_policy_document" "drift" {
  statement {
    sid       = "ReadMetrics" # resource *: metrics have no ARN, and reading takes no condition on their namespace
    actions   = ["cloudwatch:GetMetricData"]
    resources = ["*"]
  }

  statement {
    sid       = "ReadProfiles" # what training has left beside its model, not the model
    actions   = ["s3:GetObject"]
    resources = ["${var.models.bucket_arn}/${var.models.profiles}"]
  }

  statement {
    # key/*: which key the bucket has is known in the registry's account alone. Only by S3, only for those objects.
    sid       = "DecryptProfiles"
    actions   = ["kms:Decrypt"]
    resources = ["arn:${local.partition}:kms:${local.region}:${var.models.account}:key/*"]
    condition {
      test     = "StringEquals"
      variable = "kms:ViaService"
      values   = ["s3.${local.region}.amazonaws.com"]
    }
    condition {
      test     = "ArnLike"
      variable = "kms:EncryptionContext:aws:s3:arn"
      values   = [var.models.bucket_arn, "${var.models.bucket_arn}/${var.models.profiles}"] # the first with a bucket key
    }
  }

  dynamic "statement" {
    for_each = var.registry == null ? [] : [var.registry]
    content {
      sid       = "FindNewestApprovedModel" # from another account the group's own policy decides as well
      actions   = ["sagemaker:DescribeModelPackage", "sagemaker:ListModelPackages"]
      resources = [statement.value.group_arn, statement.value.versions_arn]
    }
  }
}
