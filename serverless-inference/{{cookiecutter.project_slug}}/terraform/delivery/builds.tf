# What each build may do besides deploying and keeping records, which every build of a promotion does.

data "aws_iam_policy_document" "staging" {
  source_policy_documents = [data.aws_iam_policy_document.alarms.json]

  statement {
    sid       = "FindNewestApprovedModel"
    actions   = ["sagemaker:DescribeModelPackage", "sagemaker:DescribeModelPackageGroup", "sagemaker:ListModelPackages"]
    resources = [local.registry.group_arn, local.registry.versions_arn]
  }

  statement {
    sid       = "SeeWhetherItsFilesAreThere" # their names, not what is in them
    actions   = ["s3:ListBucket"]
    resources = [local.registry.bucket_arn]
    condition {
      test     = "StringLike"
      variable = "s3:prefix"
      values   = ["models/*"]
    }
  }
}

data "aws_iam_policy_document" "production" {
  source_policy_documents = [data.aws_iam_policy_document.alarms.json]

  statement {
    sid       = "SeeWhetherTheModelIsStillApproved"
    actions   = ["sagemaker:DescribeModelPackage"]
    resources = [local.registry.versions_arn]
  }
}

data "aws_iam_policy_document" "alarms" {
  statement {
    sid       = "TellAlarms" # resource *: metrics have no ARN; the condition names their namespace
    actions   = ["cloudwatch:PutMetricData"]
    resources = ["*"]
    condition {
      test     = "StringEquals"
      variable = "cloudwatch:namespace"
      values   = [local.metrics_namespace]
    }
  }
}
