"""Amazon SNS: subscriptions that ask policies, and mails that are kept."""

from __future__ import annotations

from mlops_workbench.sandbox.service import Service
from mlops_workbench.sandbox.services.sns import calls


class Sns(Service):
    """Topics."""

    def install(self) -> None:
        """Patch moto."""
        calls.install()


SERVICE = Sns()
