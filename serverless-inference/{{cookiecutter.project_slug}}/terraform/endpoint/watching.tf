# What the endpoint answers, without the texts: its containers write counts into its log, one function makes metrics of
# them, another compares these with what the live model was trained with.

locals {
  # A record of before there was watching has no such settings.
  watching = local.has_model ? try(local.settings.watching, null) : null
  code     = "${dirname(var.deployment)}/watching.zip"
}

module "watching" {
  source = "../modules/watching"
  count  = local.watching == null ? 0 : 1

  watched    = { slug = local.project.slug, environment = var.environment, name = local.name }
  foundation = local.foundation
  settings   = local.watching
  code       = { file = local.code, sha256 = filebase64sha256(local.code) }
  log_group  = { name = aws_cloudwatch_log_group.this.name, arn = aws_cloudwatch_log_group.this.arn }
  model      = { version = tostring(local.model.package_version), data_url = local.model.data_url }
  models = {
    bucket_arn = local.bucket_arn
    account    = local.registry_account
    profiles   = local.profile
  }
  dashboard_url = local.dashboard_url
  first_row     = 2 + ceil(length(local.graphs) / 2) * 6
}

locals {
  # s3://bucket/folders/model.tar.gz -> folders/output.tar.gz: what training left beside its model
  profile = local.has_model ? "${replace(local.model.data_url, "/^s3:\\/\\/[^\\/]+\\/|\\/[^\\/]+$/", "")}/output.tar.gz" : null
}
