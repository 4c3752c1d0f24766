"""Amazon CloudWatch Logs: lines that go to functions, and lines that are metrics."""

from __future__ import annotations

from mlops_workbench.sandbox.service import Service
from mlops_workbench.sandbox.services.logs import calls


class Logs(Service):
    """Log groups."""

    def install(self) -> None:
        """Patch moto."""
        calls.install()


SERVICE = Logs()
