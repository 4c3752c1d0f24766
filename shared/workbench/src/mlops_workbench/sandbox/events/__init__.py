"""What happens without a caller: events and their deliveries, queues that functions read, mails.

events.emit(account, region, "aws.s3", "Object Created", {...})
events.fire(rule_arn)          # a scheduled rule, now; no rule is fired by the clock
events.wait_idle(10)           # until nothing is being delivered
events.history(), events.mails()
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlops_workbench.sandbox.events import queues, work
from mlops_workbench.sandbox.events.bus import emit, fire
from mlops_workbench.sandbox.events.history import Delivery, Mail, history, mails
from mlops_workbench.sandbox.events.history import clear as _clear
from mlops_workbench.sandbox.events.work import wait_idle

if TYPE_CHECKING:
    from mlops_workbench.sandbox.server import Sandbox

__all__ = ["Delivery", "Mail", "emit", "fire", "history", "mails", "start", "stop", "wait_idle"]


def start(sandbox: Sandbox) -> None:
    """Begin with an open sandbox: nothing is remembered, and restored queues are read again."""
    _clear()
    work.open_()
    queues.wake()


def stop() -> None:
    """Stop reading queues and end the functions that events have called; waits for both."""
    work.close()
    queues.forget()
