"""Amazon SQS: attributes of queues as they were given."""

from __future__ import annotations

from mlops_workbench.sandbox.aws.sqs import attributes
from mlops_workbench.sandbox.service import Service


class Sqs(Service):
    """Queues."""

    def install(self) -> None:
        """Patch moto."""
        attributes.install()


SERVICE = Sqs()
