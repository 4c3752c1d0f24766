"""Amazon CloudWatch: alarms that are evaluated, metrics with percentiles."""

from mlops_workbench.sandbox.aws.cloudwatch import alarms, metrics


def install() -> None:
    """Patch moto."""
    alarms.install()
    metrics.install()
