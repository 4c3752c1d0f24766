# One environment: a file that arrives below input/ of its bucket starts the SageMaker pipeline that answers it. What is
# to be live, and with which settings, the record of the deployment says. A record that is not enabled leaves the bucket.

data "aws_partition" "current" {}

data "aws_ssm_parameter" "foundation" {
  name = "/${local.project.prefix}/foundation-${var.environment}"

  lifecycle {
    postcondition {
      condition     = jsondecode(self.insecure_value).region == local.project.region
      error_message = "config/project.yaml: region: expected the foundation's, ${jsondecode(self.insecure_value).region}, got ${local.project.region}"
    }
  }
}

locals {
  project  = yamldecode(file("${path.module}/../../config/project.yaml"))
  record   = jsondecode(file(var.deployment))
  settings = local.record.settings
  enabled  = local.record.enabled ? 1 : 0

  # "insecure" only in that it shows in plans: the parameter holds names, no secrets
  foundation = jsondecode(data.aws_ssm_parameter.foundation.insecure_value)

  slug             = local.project.slug
  name             = local.record.name # <slug>-<environment>
  region           = local.project.region
  account          = var.environment == "staging" ? local.project.accounts.shared_services : local.project.accounts.production
  registry_account = local.project.accounts.shared_services
  partition        = data.aws_partition.current.partition
  kms_key_arn      = local.foundation.kms_key_arn
  topic            = local.foundation.notifications_topic_arn

  # Fixed names, so that roles and policies need not wait for what they name.
  sagemaker    = "arn:${local.partition}:sagemaker:${local.region}:${local.account}"
  pipeline_arn = "${local.sagemaker}:pipeline/${local.name}"
  rules_arn    = "arn:${local.partition}:events:${local.region}:${local.account}:rule"

  tags = merge({ project = local.slug, environment = var.environment, "managed-by" = "terraform" }, local.project.tags)
}

# Where the models come from: the group, and the bucket and the images that its model-build repository has made (a
# convention).
locals {
  group        = local.record.model_package_group
  registry     = "arn:${local.partition}:sagemaker:${local.region}:${local.registry_account}"
  group_arn    = "${local.registry}:model-package-group/${local.group}"
  versions_arn = "${local.registry}:model-package/${local.group}/*" # every version: their numbers come later
  models_arn   = "arn:${local.partition}:s3:::${local.project.prefix}-${local.group}-${local.registry_account}-${local.region}"

  serving_image_arn = "arn:${local.partition}:ecr:${local.region}:${local.registry_account}:repository/${local.group}-serving"
}
