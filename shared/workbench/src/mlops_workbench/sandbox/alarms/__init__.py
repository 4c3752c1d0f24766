"""CloudWatch alarms that fire."""
