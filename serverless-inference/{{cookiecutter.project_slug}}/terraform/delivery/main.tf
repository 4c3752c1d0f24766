# What an approved model needs to become an endpoint: everything here is read from config/*.yaml and from what the
# organisation's foundation says about itself. To change something, edit the YAML and apply again.

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

  tags = merge({ project = local.name, "managed-by" = "terraform" }, local.project.tags)
}
