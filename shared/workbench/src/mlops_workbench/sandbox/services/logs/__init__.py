"""Amazon CloudWatch Logs: lines that go to functions, and lines that are metrics."""

from __future__ import annotations

from mlops_workbench.sandbox.aws.logs import embedded_metrics, subscriptions
from mlops_workbench.sandbox.service import Service


class Logs(Service):
    """Log groups."""

    def install(self) -> None:
        """Patch moto."""
        subscriptions.install()
        embedded_metrics.install()


SERVICE = Logs()
