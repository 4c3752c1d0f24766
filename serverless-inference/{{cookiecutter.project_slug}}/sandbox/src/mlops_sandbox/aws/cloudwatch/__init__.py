"""Amazon CloudWatch: alarms that are evaluated."""

from mlops_sandbox.aws.cloudwatch import alarms


def install() -> None:
    """Patch moto."""
    alarms.install()
