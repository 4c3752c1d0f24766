"""AWS Lambda: functions that run, events that wait for them, and queues that are read for them."""

from __future__ import annotations

from mlops_workbench.sandbox.service import Service
from mlops_workbench.sandbox.services.lambda_ import calls, queues
from mlops_workbench.sandbox.session import Session


class Lambda(Service):
    """Functions and their event source mappings."""

    def install(self) -> None:
        """Patch moto."""
        calls.install()

    def start(self, session: Session) -> None:
        """Read the queues of a restored state again."""
        queues.wake()


SERVICE = Lambda()
