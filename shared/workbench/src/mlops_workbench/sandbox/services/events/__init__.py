"""Amazon EventBridge: what happens without a caller.

events.emit(account, region, "aws.s3", "Object Created", {...})
events.fire(rule_arn)          # a scheduled rule, now; no rule is fired by the clock
events.wait_idle(10)           # until nothing is being delivered
events.history(), events.mails()
"""

from __future__ import annotations

from mlops_workbench.sandbox.history import Delivery, Mail
from mlops_workbench.sandbox.service import Service
from mlops_workbench.sandbox.services.events import bus, calls
from mlops_workbench.sandbox.services.events.bus import emit, fire
from mlops_workbench.sandbox.session import Event, current

__all__ = ["SERVICE", "Delivery", "Mail", "emit", "fire", "history", "mails", "wait_idle"]


def history() -> list[Delivery]:
    """Return what was delivered since the sandbox was opened, oldest first."""
    return current().history.deliveries()


def mails() -> list[Mail]:
    """Return the mails since the sandbox was opened, oldest first."""
    return current().history.mails()


def wait_idle(timeout: float = 30.0) -> bool:
    """Wait until nothing is being delivered, functions called by events included; returns whether so."""
    return current().work.wait_idle(timeout)


class Events(Service):
    """Event buses, rules and targets."""

    def install(self) -> None:
        """Patch moto."""
        calls.install()

    def deliver(self, event: Event) -> None:
        """Put an event of a service on its account's default bus."""
        bus.emit(event.account, event.region, event.source, event.detail_type, event.detail, event.resources)


SERVICE = Events()
