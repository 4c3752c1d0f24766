# A version that is rejected while no other is approved goes on answering requests: nothing is taken down without a
# person. These alarms say so. The builds report after each deployment whether what is live is approved. That a version
# was rejected is known here, in the registry's account, so the alarm for production is here as well.

locals {
  metrics_namespace = "MLOps/Deployments"
}

resource "aws_cloudwatch_metric_alarm" "live_model_not_approved" {
  for_each = toset(["staging", "production"])

  alarm_name          = "${local.name}-${each.key}-live-model-not-approved"
  alarm_description   = "The model that answers in ${each.key} is not approved (any more), and no other version of ${local.group} is: it stays, so that requests are answered. Approve a version, or take the endpoint down (config/endpoint.yaml: ${each.key}.enabled: false)."
  namespace           = local.metrics_namespace
  metric_name         = "LiveModelApproved" # 1 or 0
  dimensions          = { Project = local.name, Environment = each.key }
  statistic           = "Minimum"
  period              = 60
  evaluation_periods  = 1
  comparison_operator = "LessThanThreshold"
  threshold           = 1
  treat_missing_data  = "ignore" # the builds report when something happens; in between the last word holds
  alarm_actions       = [local.foundation.notifications_topic_arn]
  ok_actions          = [local.foundation.notifications_topic_arn]
}
