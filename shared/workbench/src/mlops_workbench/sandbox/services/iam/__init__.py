"""IAM: what moto's lacks, which is to decide on requests; how is in ``mlops_workbench.sandbox.iam``."""

from __future__ import annotations

from mlops_workbench.sandbox.iam import guard
from mlops_workbench.sandbox.service import Service


class Iam(Service):
    """The door of the server."""

    def install(self) -> None:
        """Put it before moto."""
        guard.install()


SERVICE = Iam()
