"""CloudWatch alarms that fire: their metrics are looked at, and their topics told.

``expressions`` and ``series`` give a metric's value in a period, ``rules`` the state that values make,
``watch`` looks at the alarms, ``notices`` tells what has changed.

alarms.look()                  # evaluate all of them now; otherwise they are looked at every few seconds
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlops_workbench.sandbox.alarms.watch import look, stop, wake

if TYPE_CHECKING:
    from mlops_workbench.sandbox.server import Sandbox

__all__ = ["look", "start", "stop", "wake"]


def start(sandbox: Sandbox) -> None:
    """Begin with an open sandbox."""
    from mlops_workbench.sandbox.alarms import watch

    watch.start()
