# What each build may do besides deploying and keeping records, which every build of a promotion does.

data "aws_iam_policy_document" "staging" {
  statement {
    sid       = "SeeWhetherAModelIsApproved" # without one no file can be answered, and none is tried
    actions   = ["sagemaker:DescribeModelPackage", "sagemaker:DescribeModelPackageGroup", "sagemaker:ListModelPackages"]
    resources = [local.registry.group_arn, local.registry.versions_arn]
  }
}
