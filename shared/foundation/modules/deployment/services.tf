# What the deployment role may do with models, endpoints, functions, events and queues. Endpoints, and the models, alarms and logs
# that belong to them, have the names that a repository's configuration gives them, so they are bounded by their type,
# this account and this region. What else a deployment makes ends in -<environment>: in the account of shared services
# there are training pipelines, rules, functions, queues and dashboards of others.
#
# St*PipelineExecution, *LayerUpload, *ScalableTarget, *ScalingPolicy and *ScheduledAction match two calls of their service each
# (start and stop, put and delete, and so on), both of which a deployment makes: spelt out, the policies exceed IAM's limit (main.tf).

locals {
  sagemaker = "arn:${local.partition}:sagemaker:${var.region}:${var.account_id}"
  functions = "arn:${local.partition}:lambda:${var.region}:${var.account_id}:function:*-${var.environment}"
  logs      = "arn:${local.partition}:logs:${var.region}:${var.account_id}:log-group"
  pipelines = "${local.sagemaker}:pipeline/*-${var.environment}"
}

data "aws_iam_policy_document" "models" {
  #checkov:skip=CKV_AWS_356:calls that list or describe everything, and putting metrics, take no resource

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
      "sagemaker:ListPipeline*",
      "sagemaker:ListTags",
      "sagemaker:St*PipelineExecution",
      "sagemaker:UpdateEndpoint*",
      "sagemaker:UpdatePipeline",
    ]
    resources = [
      "${local.sagemaker}:model/*",
      "${local.sagemaker}:endpoint/*",
      "${local.sagemaker}:endpoint-config/*",
      local.pipelines,
      "${local.pipelines}/execution/*",
    ]
  }

  # Approved versions lie in shared services. From another account, each group's own policy decides as well.
  statement {
    sid = "VersionsInSharedServices"
    actions = [
      "sagemaker:CreateModel",
      "sagemaker:DescribeModelPackage*",
      "sagemaker:ListModelPackages",
    ]
    resources = [
      "arn:${local.partition}:sagemaker:${var.region}:${var.shared_services_account_id}:model-package/*",
      "arn:${local.partition}:sagemaker:${var.region}:${var.shared_services_account_id}:model-package-group/*",
    ]
  }

  # Images that model-build repositories serve with: a serverless endpoint takes one from its own account's registry alone,
  # so that a deployment to another account than the registry's copies it there. It adds, and removes and changes nothing.
  dynamic "statement" {
    for_each = var.account_id == var.shared_services_account_id ? [] : [var.shared_services_account_id]
    content {
      sid       = "PullServingImages"
      actions   = ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
      resources = ["arn:${local.partition}:ecr:${var.region}:${statement.value}:repository/*-serving"]
    }
  }

  dynamic "statement" {
    for_each = var.account_id == var.shared_services_account_id ? [] : [var.account_id]
    content {
      sid = "KeepCopiesOfThem"
      actions = [
        "ecr:BatchCheckLayerAvailability",
        "ecr:*LayerUpload",
        "ecr:CreateRepository",
        "ecr:DescribeImages",
        "ecr:PutImage",
        "ecr:UploadLayerPart",
      ]
      resources = ["arn:${local.partition}:ecr:${var.region}:${statement.value}:repository/*-serving"]
    }
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
      "application-autoscaling:*ScalableTarget",
      "application-autoscaling:*ScalingPolicy",
      "application-autoscaling:*ScheduledAction",
      "application-autoscaling:ListTagsForResource",
      "application-autoscaling:TagResource",
      "application-autoscaling:UntagResource",
    ]
    resources = ["arn:${local.partition}:application-autoscaling:${var.region}:${var.account_id}:scalable-target/*"]

    condition {
      test     = "StringEqualsIfExists"
      variable = "application-autoscaling:service-namespace"
      values   = ["sagemaker"]
    }
  }

  # What a deployment says about itself, for its alarms.
  statement {
    sid       = "MetricsOfDeployments"
    actions   = ["cloudwatch:PutMetricData"]
    resources = ["*"]

    condition {
      test     = "StringEquals"
      variable = "cloudwatch:namespace"
      values   = ["MLOps/Deployments"]
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
    resources = [local.functions, "${local.functions}:*"]
  }

  statement {
    sid = "Rules"
    actions = [
      "events:*Rule",
      "events:*Targets",
      "events:*Resource",
      "events:ListTargetsByRule",
    ]
    resources = ["arn:${local.partition}:events:${var.region}:${var.account_id}:rule/*-${var.environment}"]
  }

  # For events that could not be delivered: what is in them is read by people.
  statement {
    sid = "Queues"
    actions = [
      "sqs:*QueueAttributes",
      "sqs:CreateQueue",
      "sqs:DeleteQueue",
      "sqs:GetQueueUrl",
      "sqs:ListQueueTags",
      "sqs:TagQueue",
      "sqs:UntagQueue",
    ]
    resources = ["arn:${local.partition}:sqs:${var.region}:${var.account_id}:*-${var.environment}"]
  }

  # Any name: Application Auto Scaling makes alarms of its own with the rights of whoever puts a scaling policy.
  statement {
    sid = "Alarms"
    actions = [
      "cloudwatch:DeleteAlarms",
      "cloudwatch:ListTagsForResource",
      "cloudwatch:PutMetricAlarm",
      "cloudwatch:TagResource",
      "cloudwatch:UntagResource",
    ]
    resources = ["arn:${local.partition}:cloudwatch:${var.region}:${var.account_id}:alarm:*"]
  }

  # Dashboards have no region.
  statement {
    sid       = "Dashboards"
    actions   = ["cloudwatch:DeleteDashboards", "cloudwatch:GetDashboard", "cloudwatch:PutDashboard"]
    resources = ["arn:${local.partition}:cloudwatch::${var.account_id}:dashboard/*-${var.environment}"]
  }

  # The services choose these names by those of endpoints and functions. With and without what comes after a group's
  # name: IAM compares some calls with the one, some with the other.
  statement {
    sid = "Logs"
    actions = [
      "logs:AssociateKmsKey",
      "logs:CreateLogGroup",
      "logs:DeleteLogGroup",
      "logs:DisassociateKmsKey",
      "logs:*RetentionPolicy",
      "logs:*Resource",
      "logs:*MetricFilter*",
      "logs:*SubscriptionFilter*",
    ]
    resources = [
      "${local.logs}:/aws/sagemaker/Endpoints/*",
      "${local.logs}:/aws/lambda/*-${var.environment}",
      "${local.logs}:/aws/lambda/*-${var.environment}:*",
    ]
  }

  # Alarms of deployments tell the same people.
  statement {
    sid       = "Notifications"
    actions   = ["sns:GetTopicAttributes", "sns:Publish"]
    resources = [var.notifications_topic_arn]
  }
}
