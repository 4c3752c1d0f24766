# What an approved model needs to become an endpoint: everything here is read from config/*.yaml and from what the
# organisation's foundation says about itself. To change something, edit the YAML and apply again.

terraform {
  required_version = ">= 1.10"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 5.100"
    }
  }

  # `terraform init` is given the rest (make register does it):
  #   bucket = <prefix>-terraform-state-<account>-<region>, key = delivery/<slug>.tfstate, use_lockfile = true
  backend "s3" {}
}

provider "aws" {
  region              = local.project.region
  allowed_account_ids = [local.account] # credentials of another account stop here, before anything is made

  default_tags {
    tags = local.tags
  }
}

variable "delete_data" {
  description = "Whether destroying also deletes the bucket's records of deployments and reports; otherwise a bucket that is not empty stays."
  type        = bool
  default     = false
}

data "aws_partition" "current" {}

data "aws_ssm_parameter" "foundation" {
  name = "/${local.project.prefix}/foundation"

  lifecycle {
    postcondition {
      condition     = jsondecode(self.insecure_value).region == local.project.region
      error_message = "config/project.yaml: region: expected the foundation's, ${jsondecode(self.insecure_value).region}, got ${local.project.region}"
    }
    postcondition {
      condition     = jsondecode(self.insecure_value).production_account_id == local.project.accounts.production
      error_message = "config/project.yaml: accounts.production: expected the foundation's, ${jsondecode(self.insecure_value).production_account_id}, got ${local.project.accounts.production}"
    }
  }
}

module "promotion" {
  source = "../modules/promotion"

  project     = local.project
  foundation  = local.foundation
  failure     = "a model was not deployed, as a build failed or a person said no"
  delete_data = var.delete_data

  builds = {
    staging = {
      description = "finds the newest approved model, deploys it to staging and tests it"
      policy      = data.aws_iam_policy_document.staging.json
    }
    production = {
      description = "deploys to production what staging has tested"
      policy      = data.aws_iam_policy_document.production.json
    }
  }

  start_on = {
    # Rejected too: what is live may be what was rejected. One change can be told several times, and an edit of a
    # version's description tells Approved again: the build that finds nothing new changes nothing.
    model = jsonencode({
      source      = ["aws.sagemaker"]
      detail-type = ["SageMaker Model Package State Change"]
      detail = {
        ModelPackageGroupName = [local.group]
        ModelApprovalStatus   = ["Approved", "Rejected"]
      }
    })
  }
}

locals {
  project = yamldecode(file("${path.module}/../../config/project.yaml"))
  group   = yamldecode(file("${path.module}/../../config/endpoint.yaml")).model_package_group

  # "insecure" only in that it shows in plans: the parameter holds names, no secrets
  foundation = jsondecode(data.aws_ssm_parameter.foundation.insecure_value)

  name      = local.project.slug
  account   = local.project.accounts.shared_services
  partition = data.aws_partition.current.partition

  # Where the models come from: the group, and the bucket that its model-build repository has made (a convention).
  sagemaker = "arn:${local.partition}:sagemaker:${local.project.region}:${local.account}"
  registry = {
    group_arn    = "${local.sagemaker}:model-package-group/${local.group}"
    versions_arn = "${local.sagemaker}:model-package/${local.group}/*" # every version: their numbers come later
    bucket_arn   = "arn:${local.partition}:s3:::${local.project.prefix}-${local.group}-${local.account}-${local.project.region}"
  }

  metrics_namespace = "MLOps/Deployments" # of what the builds report

  tags = merge({ project = local.name, "managed-by" = "terraform" }, local.project.tags)
}

# A version that is rejected while no other is approved goes on answering requests: nothing is taken down without a
# person. These alarms say so. The builds report after each deployment whether what is live is approved. That a version
# was rejected is known here, in the registry's account, so the alarm for production is here as well.
resource "aws_cloudwatch_metric_alarm" "live_model_not_approved" {
  for_each = toset(["staging", "production"])

  alarm_name          = "${local.name}-${each.key}-live-model-not-approved"
  alarm_description   = "The model that answers in ${each.key} is not approved (any more), and no other version of ${local.group} is: it stays, so that requests are answered. Approve a version, or take the endpoint down (config/endpoint.yaml: ${each.key}.enabled: false)."
  namespace           = local.metrics_namespace
  metric_name         = "LiveModelApproved" # 1 or 0
  dimensions          = { Project = local.name, Environment = each.key }
  statistic           = "Minimum"
  period              = 60
  evaluation_periods  = 1
  comparison_operator = "LessThanThreshold"
  threshold           = 1
  treat_missing_data  = "ignore" # the builds report when something happens; in between the last word holds
  alarm_actions       = [local.foundation.notifications_topic_arn]
  ok_actions          = [local.foundation.notifications_topic_arn]
}

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

output "pipeline" {
  description = "The CodePipeline that a push, an approved model and a rejected model start."
  value       = module.promotion.pipeline
}

output "pipeline_url" {
  description = "Where to watch it."
  value       = module.promotion.pipeline_url
}

output "source" {
  description = "The object that starts the pipeline when it is written."
  value       = module.promotion.source
}

output "model_package_group" {
  description = "The group whose approved and rejected versions start it."
  value       = local.group
}

output "bucket" {
  description = "Records of deployments and reports."
  value       = module.promotion.bucket
}

output "kms_key_arn" {
  description = "The key that encrypts them."
  value       = module.promotion.kms_key_arn
}

output "build_role_arns" {
  description = "Environment -> the role of the build that deploys it."
  value       = module.promotion.build_role_arns
}

output "undelivered_queue_url" {
  description = "Events that could not be delivered."
  value       = module.promotion.undelivered_queue_url
}

# What the promotion consists of was once made here; a repository that has it keeps it.
moved {
  from = aws_codepipeline.this
  to   = module.promotion.aws_codepipeline.this
}

moved {
  from = terraform_data.folders
  to   = module.promotion.terraform_data.folders
}

moved {
  from = module.bucket
  to   = module.promotion.module.bucket
}

moved {
  from = module.build
  to   = module.promotion.module.build
}

moved {
  from = module.events
  to   = module.promotion.module.events
}

moved {
  from = module.key
  to   = module.promotion.module.key
}

moved {
  from = module.pipeline_role
  to   = module.promotion.module.pipeline_role
}
