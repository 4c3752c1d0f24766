# What the deployment role may do with models, functions and events. Names are the repositories' own and have no
# common beginning, so resources are bounded by their type, this account and this region.

locals {
  sagemaker = "arn:${local.partition}:sagemaker:${var.region}:${local.account_id}"
}

data "aws_iam_policy_document" "models" {
  #checkov:skip=CKV_AWS_356:calls that list or describe everything take no resource

  statement {
    sid = "ModelsAndEndpoints"
    actions = [
      "sagemaker:AddTags",
      "sagemaker:CreateEndpoint*",
      "sagemaker:CreateModel",
      "sagemaker:CreatePipeline",
      "sagemaker:DeleteEndpoint*",
      "sagemaker:DeleteModel",
      "sagemaker:DeletePipeline",
      "sagemaker:DeleteTags",
      "sagemaker:Describe*",
      "sagemaker:InvokeEndpoint",
      "sagemaker:ListTags",
      "sagemaker:StartPipelineExecution",
      "sagemaker:StopPipelineExecution",
      "sagemaker:UpdateEndpoint*",
      "sagemaker:UpdatePipeline",
    ]
    resources = [
      "${local.sagemaker}:model/*",
      "${local.sagemaker}:endpoint/*",
      "${local.sagemaker}:endpoint-config/*",
      "${local.sagemaker}:pipeline/*",
    ]
  }

  # Approved versions lie in shared services; each group's own policy decides whether production may read it.
  statement {
    sid = "VersionsInSharedServices"
    actions = [
      "sagemaker:CreateModel",
      "sagemaker:DescribeModelPackage",
      "sagemaker:DescribeModelPackageGroup",
      "sagemaker:ListModelPackages",
    ]
    resources = [
      "arn:${local.partition}:sagemaker:${var.region}:${var.shared_services_account_id}:model-package/*",
      "arn:${local.partition}:sagemaker:${var.region}:${var.shared_services_account_id}:model-package-group/*",
    ]
  }

  # Listing takes no resource; neither does finding out an endpoint's scaling.
  statement {
    sid = "Lists"
    actions = [
      "application-autoscaling:Describe*",
      "cloudwatch:DescribeAlarms",
      "logs:DescribeLogGroups",
      "sagemaker:ListEndpoint*",
      "sagemaker:ListModels",
      "sagemaker:ListPipelines",
    ]
    resources = ["*"]
  }

  statement {
    sid = "ScalingOfEndpoints"
    actions = [
      "application-autoscaling:DeleteScalingPolicy",
      "application-autoscaling:DeregisterScalableTarget",
      "application-autoscaling:ListTagsForResource",
      "application-autoscaling:PutScalingPolicy",
      "application-autoscaling:RegisterScalableTarget",
      "application-autoscaling:TagResource",
    ]
    resources = ["arn:${local.partition}:application-autoscaling:${var.region}:${local.account_id}:scalable-target/*"]

    condition {
      test     = "StringEqualsIfExists"
      variable = "application-autoscaling:service-namespace"
      values   = ["sagemaker"]
    }
  }
}

data "aws_iam_policy_document" "events" {
  statement {
    sid = "Functions"
    actions = [
      "lambda:*Alias",
      "lambda:*Permission",
      "lambda:*Tags",
      "lambda:CreateFunction",
      "lambda:DeleteFunction",
      "lambda:Get*",
      "lambda:InvokeFunction",
      "lambda:ListVersionsByFunction",
      "lambda:*Resource",
      "lambda:PublishVersion",
      "lambda:UpdateFunction*",
    ]
    resources = ["arn:${local.partition}:lambda:${var.region}:${local.account_id}:function:*"]
  }

  statement {
    sid = "Rules"
    actions = [
      "events:*Rule",
      "events:*Targets",
      "events:*Resource",
      "events:ListTargetsByRule",
    ]
    resources = ["arn:${local.partition}:events:${var.region}:${local.account_id}:rule/*"]
  }

  statement {
    sid = "Alarms"
    actions = [
      "cloudwatch:DeleteAlarms",
      "cloudwatch:ListTagsForResource",
      "cloudwatch:PutMetricAlarm",
      "cloudwatch:TagResource",
      "cloudwatch:UntagResource",
    ]
    resources = ["arn:${local.partition}:cloudwatch:${var.region}:${local.account_id}:alarm:*"]
  }

  statement {
    sid = "Logs"
    actions = [
      "logs:AssociateKmsKey",
      "logs:CreateLogGroup",
      "logs:DeleteLogGroup",
      "logs:*RetentionPolicy",
      "logs:*Resource",
      "logs:*MetricFilter*",
    ]
    resources = ["arn:${local.partition}:logs:${var.region}:${local.account_id}:log-group:*"]
  }

  # Alarms of deployments tell the same people.
  statement {
    sid       = "Notifications"
    actions   = ["sns:GetTopicAttributes", "sns:Publish"]
    resources = [module.notifications.arn]
  }
}
