"""Which execution is in which stage of a pipeline, and who comes next.

[read] in "How pipeline executions work", mode SUPERSEDED: a stage holds one execution at a time, and of those
that wait for it only the newest stays.
"""

from __future__ import annotations

import threading
from typing import Literal

from mlops_workbench.sandbox.delivery.executions import Execution

Entry = Literal["entered", "superseded", "stopped"]
_POLL = 0.1  # seconds: a stop wakes no one


class Turnstile:
    """The stages of one pipeline."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._inside: dict[str, str] = {}
        self._waiting: dict[str, Execution] = {}

    def enter(self, stage: str, execution: Execution, stop: threading.Event) -> Entry:
        """Wait until an execution may enter a stage."""
        with self._condition:
            before = self._waiting.get(stage)
            if before is None or before.start <= execution.start:
                self._waiting[stage] = execution
            self._condition.notify_all()
            while self._waiting.get(stage) is execution:
                if stop.is_set():
                    del self._waiting[stage]
                    return "stopped"
                if stage not in self._inside:
                    self._inside[stage] = execution.id
                    del self._waiting[stage]
                    return "entered"
                self._condition.wait(_POLL)
            return "superseded"

    def leave(self, stage: str, execution: Execution) -> None:
        """Make room for the next one."""
        with self._condition:
            if self._inside.get(stage) == execution.id:
                del self._inside[stage]
            self._condition.notify_all()
