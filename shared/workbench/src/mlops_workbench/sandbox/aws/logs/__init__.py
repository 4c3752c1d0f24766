"""Amazon CloudWatch Logs: lines that go to functions, and lines that are metrics."""

from mlops_workbench.sandbox.aws.logs import embedded_metrics, subscriptions


def install() -> None:
    """Patch moto."""
    subscriptions.install()
    embedded_metrics.install()
