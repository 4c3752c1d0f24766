# A serverless endpoint as a delivery makes one: everything that takes the place of something else has a new name.

terraform {
  required_version = ">= 1.10"
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 5.100"
    }
  }
}

variable "package" {
  description = "ARN of the model package. A second apply changes it."
  type        = string
}

variable "memory" {
  description = "Memory of the variant, in MB. A second apply changes it."
  type        = number
  default     = 2048
}

locals {
  variant = "AllTraffic"
}

resource "aws_iam_role" "this" {
  name = "endpoints-serving"
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "sagemaker.amazonaws.com" }
      Action    = "sts:AssumeRole"
    }]
  })
}

resource "aws_sagemaker_model" "this" {
  name               = "endpoints-${replace(basename(var.package), "/[^0-9]/", "")}"
  execution_role_arn = aws_iam_role.this.arn

  primary_container {
    model_package_name = var.package
    environment        = { LANGUAGE = "en" }
  }

  tags = { project = "endpoints" }

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_sagemaker_endpoint_configuration" "this" {
  name_prefix = "endpoints-"

  production_variants {
    variant_name = local.variant
    model_name   = aws_sagemaker_model.this.name

    serverless_config {
      memory_size_in_mb       = var.memory
      max_concurrency         = 4
      provisioned_concurrency = 1
    }
  }

  tags = { project = "endpoints" }

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_sagemaker_endpoint" "this" {
  name                 = "endpoints"
  endpoint_config_name = aws_sagemaker_endpoint_configuration.this.name
  tags                 = { project = "endpoints" }
}

resource "aws_appautoscaling_target" "this" {
  service_namespace  = "sagemaker"
  resource_id        = "endpoint/${aws_sagemaker_endpoint.this.name}/variant/${local.variant}"
  scalable_dimension = "sagemaker:variant:DesiredProvisionedConcurrency"
  min_capacity       = 1
  max_capacity       = 3
  tags               = { project = "endpoints" }
}

resource "aws_appautoscaling_policy" "this" {
  name               = "endpoints-use"
  policy_type        = "TargetTrackingScaling"
  service_namespace  = aws_appautoscaling_target.this.service_namespace
  resource_id        = aws_appautoscaling_target.this.resource_id
  scalable_dimension = aws_appautoscaling_target.this.scalable_dimension

  target_tracking_scaling_policy_configuration {
    target_value       = 0.7
    scale_in_cooldown  = 300
    scale_out_cooldown = 60
    predefined_metric_specification {
      predefined_metric_type = "SageMakerVariantProvisionedConcurrencyUtilization"
    }
  }
}

resource "aws_appautoscaling_scheduled_action" "this" {
  name               = "office-hours"
  service_namespace  = aws_appautoscaling_target.this.service_namespace
  resource_id        = aws_appautoscaling_target.this.resource_id
  scalable_dimension = aws_appautoscaling_target.this.scalable_dimension
  schedule           = "cron(0 7 ? * MON-FRI *)"
  timezone           = "America/Toronto"

  scalable_target_action {
    min_capacity = 2
    max_capacity = 3
  }
}

output "configuration" {
  description = "Name of the endpoint configuration in use."
  value       = aws_sagemaker_endpoint.this.endpoint_config_name
}
