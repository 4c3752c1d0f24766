# The bucket of this project: data, code, models and reports, and what CodePipeline passes between its actions.

locals {
  # CodePipeline cuts the pipeline's name to 20 characters for its folder in the bucket.
  artifacts_prefix = "${substr(local.name, 0, 20)}/"

  written_by_builds = ["base-models/", "code/", "config/", "data/"]
  written_by_jobs   = ["checkpoints/", "models/", "runs/"]

  kms_key_arn = local.project.kms_key_arn != null ? local.project.kms_key_arn : module.key[0].arn
}

module "key" {
  source = "../modules/key"
  count  = local.project.kms_key_arn == null ? 1 : 0

  name        = local.name
  description = "${local.project.name}: data, models and logs"
  log_groups  = concat(["/aws/codebuild/${local.name}-build"], local.lean ? ["/aws/codebuild/${local.name}-serving-image"] : [])
  readers     = local.two_accounts ? local.production_readers : null
}

module "bucket" {
  source = "../modules/bucket"

  name        = local.project.bucket
  kms_key_arn = local.kms_key_arn
  delete_data = var.delete_data
  readers     = local.two_accounts ? merge(local.production_readers, { prefixes = ["models/"] }) : null

  expire_days = {
    (local.artifacts_prefix) = 30 # the source stays in the foundation's bucket
    "checkpoints/"           = 30 # training continues from them for as long as spot capacity is waited for
  }
}

resource "terraform_data" "folders" {
  input = local.artifacts_prefix

  lifecycle {
    precondition {
      # else CodePipeline's artifacts would lie, and expire, among the models
      condition     = !contains(concat(local.written_by_builds, local.written_by_jobs), local.artifacts_prefix)
      error_message = "config/project.yaml: slug: ${local.name} is the name of a folder that the bucket already has; choose another"
    }
  }
}
