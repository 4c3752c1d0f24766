"""Amazon CloudWatch: alarms that fire, and metrics with percentiles.

``rules`` and ``expressions`` give a metric's value in a period and the state that values make, ``definition``
reads an alarm, ``running`` looks at the alarms and tells what has changed.
"""

from __future__ import annotations

from mlops_workbench.sandbox.service import Service
from mlops_workbench.sandbox.services.cloudwatch import calls
from mlops_workbench.sandbox.services.cloudwatch.running import Watch
from mlops_workbench.sandbox.session import Session


class CloudWatch(Service):
    """Metrics and alarms."""

    def install(self) -> None:
        """Patch moto."""
        calls.install()

    def start(self, session: Session) -> None:
        """Begin to look at the alarms."""
        session.part(Watch).start()

    def stop(self, session: Session) -> None:
        """Look no more."""
        if watch := session.made(Watch):
            watch.stop()


SERVICE = CloudWatch()
