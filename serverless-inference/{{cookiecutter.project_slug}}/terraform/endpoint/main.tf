# One environment's endpoint: the model that the record of the deployment names, behind a serverless endpoint, with its
# role, log, alarms and dashboard. A record without a model leaves the log and the dashboard, and no endpoint.

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
  project = yamldecode(file("${path.module}/../../config/project.yaml"))
  record  = jsondecode(file(var.deployment))

  # "insecure" only in that it shows in plans: the parameter holds names, no secrets
  foundation = jsondecode(data.aws_ssm_parameter.foundation.insecure_value)

  name      = local.record.endpoint_name
  settings  = local.record.settings
  model     = local.record.model
  has_model = local.model != null

  region           = local.project.region
  account          = var.environment == "staging" ? local.project.accounts.shared_services : local.project.accounts.production
  registry_account = local.project.accounts.shared_services
  partition        = data.aws_partition.current.partition
  topic            = local.foundation.notifications_topic_arn

  tags = merge({ project = local.project.slug, environment = var.environment, "managed-by" = "terraform" }, local.project.tags)
}
