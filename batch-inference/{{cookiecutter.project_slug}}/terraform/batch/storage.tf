# The bucket: files to answer, their answers, and what the pipeline makes on its way.

module "bucket" {
  source = "../modules/bucket"

  name        = local.record.bucket
  kms_key_arn = local.kms_key_arn
  eventbridge = true
  delete_data = var.delete_data

  expire_days = { for folder, days in {
    (local.settings.input.prefix)  = local.settings.retention.input_days
    (local.settings.output.prefix) = local.settings.retention.output_days
    "work/"                        = local.settings.retention.work_days
  } : folder => days if days != null }
}

resource "terraform_data" "names" {
  input = [local.name, local.record.bucket]

  lifecycle {
    precondition {
      condition     = local.name == "${local.slug}-${var.environment}"
      error_message = "${var.deployment}: name: expected ${local.slug}-${var.environment}, got ${local.name}"
    }
    precondition {
      # what the foundation lets deployments to this environment make
      condition     = local.record.bucket == "${local.project.prefix}-${local.name}-${local.account}-${local.region}"
      error_message = "${var.deployment}: bucket: expected ${local.project.prefix}-${local.name}-${local.account}-${local.region}, got ${local.record.bucket}"
    }
    precondition {
      condition     = length(local.record.bucket) <= 63
      error_message = "config/project.yaml: slug: ${local.record.bucket} has ${length(local.record.bucket)} characters, and a bucket's name has at most 63; choose a shorter slug"
    }
  }
}
