"""Amazon SNS: subscriptions that ask policies, and mails that are kept."""

from __future__ import annotations

from mlops_workbench.sandbox.aws.sns import subscriptions
from mlops_workbench.sandbox.service import Service


class Sns(Service):
    """Topics."""

    def install(self) -> None:
        """Patch moto."""
        subscriptions.install()


SERVICE = Sns()
