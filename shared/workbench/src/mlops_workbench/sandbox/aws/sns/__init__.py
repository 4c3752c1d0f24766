"""Amazon SNS: what moto's lacks."""

from mlops_workbench.sandbox.aws.sns import subscriptions


def install() -> None:
    """Patch moto."""
    subscriptions.install()
