# Provisioned concurrency that follows the use and the clock. With a fixed number, and without one, there is nothing here.

resource "aws_appautoscaling_target" "this" {
  count = local.is_scaled ? 1 : 0

  service_namespace  = "sagemaker"
  scalable_dimension = "sagemaker:variant:DesiredProvisionedConcurrency"
  resource_id        = "endpoint/${aws_sagemaker_endpoint.this[0].name}/variant/${local.variant}"
  min_capacity       = local.provisioned.minimum
  max_capacity       = local.provisioned.maximum

  lifecycle {
    # A schedule moves both: a deployment does not undo that.
    ignore_changes       = [min_capacity, max_capacity]
    replace_triggered_by = [terraform_data.scaling]
  }
}

# When scaling is registered anew, and its policy and schedule with it: other limits in config/endpoint.yaml, which are
# ignored above, or an endpoint that was made anew.
resource "terraform_data" "scaling" {
  count = local.is_scaled ? 1 : 0

  triggers_replace = [local.provisioned.minimum, local.provisioned.maximum, aws_sagemaker_endpoint.this[0].arn]
}

resource "aws_appautoscaling_policy" "this" {
  count = local.is_scaled ? 1 : 0

  name               = "${local.name}-utilization"
  policy_type        = "TargetTrackingScaling"
  service_namespace  = aws_appautoscaling_target.this[0].service_namespace
  scalable_dimension = aws_appautoscaling_target.this[0].scalable_dimension
  resource_id        = aws_appautoscaling_target.this[0].resource_id

  target_tracking_scaling_policy_configuration {
    target_value = local.provisioned.target_utilization # of 1

    predefined_metric_specification {
      predefined_metric_type = "SageMakerVariantProvisionedConcurrencyUtilization"
    }
  }

  lifecycle {
    replace_triggered_by = [terraform_data.scaling]
  }
}

resource "aws_appautoscaling_scheduled_action" "this" {
  for_each = local.is_scaled ? { for action in local.provisioned.schedule : action.name => action } : {}

  name               = each.key
  service_namespace  = aws_appautoscaling_target.this[0].service_namespace
  scalable_dimension = aws_appautoscaling_target.this[0].scalable_dimension
  resource_id        = aws_appautoscaling_target.this[0].resource_id
  schedule           = each.value.cron
  timezone           = each.value.timezone

  scalable_target_action {
    min_capacity = each.value.minimum
    max_capacity = each.value.maximum
  }

  lifecycle {
    replace_triggered_by = [terraform_data.scaling]
  }
}
