# The model: a version of the model package group, with the environment variables of config/endpoint.yaml.

locals {
  # With an image of its own that the builds have copied to this account (serverless_inference/own_image.py), the model is
  # made of the version's parts: of the version itself it would have the image of the registry's account.
  is_copied = try(local.model.copy_of, null) != null
}

resource "terraform_data" "model" {
  count = local.has_model ? 1 : 0

  # What the model is made of. SageMaker changes nothing of a model: another one takes its place, with another name.
  triggers_replace = [local.name, local.model.package_arn, local.settings.environment, module.role[0].arn]

  lifecycle {
    create_before_destroy = true # as the model that is named after it
  }
}

resource "aws_sagemaker_model" "this" {
  # checkov:skip=CKV_AWS_370:serverless endpoints take no network isolation
  count = local.has_model ? 1 : 0

  # At most 40 + 1 + 9 + 1 + 8 of the 63 characters. The id is new for each model, so a model that a deployment has left
  # behind when it was cut off is in nobody's way.
  name               = "${trim(substr(local.name, 0, 40), "-")}-v${local.model.package_version}-${substr(terraform_data.model[0].id, 0, 8)}"
  execution_role_arn = module.role[0].arn

  primary_container {
    model_package_name = local.is_copied ? null : local.model.package_arn
    image              = local.is_copied ? local.model.image : null
    model_data_url     = local.is_copied ? local.model.data_url : null
    environment        = merge(local.is_copied ? local.model.variables : {}, local.settings.environment)
  }

  lifecycle {
    # The endpoint serves the old one until the new one is ready.
    create_before_destroy = true

    precondition {
      condition     = length(local.settings.environment) <= 100
      error_message = "config/endpoint.yaml: ${var.environment}.environment: expected at most 100 variables, got ${length(local.settings.environment)}"
    }
  }
}
