# The bucket of this project: records of deployments, reports, and what CodePipeline passes between its actions.

locals {
  # CodePipeline cuts the pipeline's name to 20 characters for its folder in the bucket.
  artifacts_prefix = "${substr(local.name, 0, 20)}/"

  written_by_builds = ["deployments/", "reports/"]

  kms_key_arn = var.project.kms_key_arn != null ? var.project.kms_key_arn : module.key[0].arn
}

module "key" {
  source = "../key"
  count  = var.project.kms_key_arn == null ? 1 : 0

  name        = local.name
  description = "${var.project.name}: records, reports, artifacts and logs of its delivery"
  log_groups  = [for environment in keys(local.project_arns) : "/aws/codebuild/${local.name}-${environment}"]
}

module "bucket" {
  source = "../bucket"

  name        = var.project.bucket
  kms_key_arn = local.kms_key_arn
  delete_data = var.delete_data

  expire_days = {
    (local.artifacts_prefix) = 30 # an approval is waited for 7 days; the source stays in the foundation's bucket
  }
}

resource "terraform_data" "folders" {
  input = local.artifacts_prefix

  lifecycle {
    precondition {
      # else CodePipeline's artifacts would lie, and expire, among the records
      condition     = !contains(local.written_by_builds, local.artifacts_prefix)
      error_message = "config/project.yaml: slug: ${local.name} is the name of a folder that the bucket already has; choose another"
    }
  }
}
