# The serverless endpoint and what it runs on. A change makes a new configuration; the endpoint then moves to it without
# an interruption: SageMaker starts the new containers, sends them the requests, and only then ends the old ones.

locals {
  variant     = "AllTraffic" # what SageMaker calls the only variant of an endpoint
  provisioned = local.settings.provisioned_concurrency

  # Provisioned concurrency that moves: with the use, with the clock, or both.
  is_scaled = local.has_model && local.provisioned != null ? (
    local.provisioned.minimum < local.provisioned.maximum || length(local.provisioned.schedule) > 0
  ) : false

  # With an image of its own that the builds have copied to this account (serverless_inference/own_image.py), the model is
  # made of the version's parts: of the version itself it would have the image of the registry's account.
  is_copied = try(local.model.copy_of, null) != null
}

# The model: a version of the model package group, with the environment variables of config/endpoint.yaml.
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

resource "aws_sagemaker_endpoint_configuration" "this" {
  # checkov:skip=CKV_AWS_98:serverless endpoints take no key: they have no volume of ours
  count = local.has_model ? 1 : 0

  # SageMaker changes nothing of a configuration either. With a fixed name the new one could not be made beside the old
  # one, which the endpoint needs until it has moved. Terraform adds 26 characters to these 37.
  name_prefix = "${trim(substr(local.name, 0, 36), "-")}-"

  production_variants {
    variant_name = local.variant
    model_name   = aws_sagemaker_model.this[0].name

    serverless_config {
      memory_size_in_mb       = local.settings.memory_mb
      max_concurrency         = local.settings.max_concurrency
      provisioned_concurrency = try(local.provisioned.minimum, null) # scaling begins here, after each deployment
    }
  }

  lifecycle {
    create_before_destroy = true

    precondition {
      condition     = try(local.provisioned.maximum, 0) <= local.settings.max_concurrency
      error_message = "config/endpoint.yaml: ${var.environment}.provisioned_concurrency.maximum: expected at most max_concurrency, ${local.settings.max_concurrency}, got ${try(local.provisioned.maximum, 0)}"
    }
  }
}

resource "aws_sagemaker_endpoint" "this" {
  count = local.has_model ? 1 : 0

  name                 = local.name
  endpoint_config_name = aws_sagemaker_endpoint_configuration.this[0].name

  # else SageMaker makes the group before Terraform does
  depends_on = [aws_cloudwatch_log_group.this]

  lifecycle {
    # When new containers do not come up, SageMaker goes back to the old ones and is in service, which the provider takes
    # for success. What the endpoint still uses would be destroyed then.
    postcondition {
      condition     = self.endpoint_config_name == aws_sagemaker_endpoint_configuration.this[0].name
      error_message = "Endpoint ${local.name}: the new containers did not come up, and SageMaker went back to what it served before. Why: aws sagemaker describe-endpoint --region ${local.region} --endpoint-name ${local.name} --query FailureReason, and the log ${aws_cloudwatch_log_group.this.name}"
    }
  }
}
