"""Amazon CloudWatch: alarms that are evaluated, metrics with percentiles."""

from mlops_sandbox.aws.cloudwatch import alarms, metrics


def install() -> None:
    """Patch moto."""
    alarms.install()
    metrics.install()
