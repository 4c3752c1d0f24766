"""Which execution is in which stage of a pipeline, and who comes next.

[read] in "How pipeline executions work": a stage holds one execution at a time. Of those that wait for it
only the newest stays in mode SUPERSEDED; they go in the order of their start in mode QUEUED; in mode
PARALLEL no one waits.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Literal

from mlops_workbench.sandbox.delivery.executions import Execution

Entry = Literal["entered", "superseded", "stopped"]
_POLL = 0.1  # seconds: a stop, or a transition that is enabled again, wakes no one


class Turnstile:
    """The stages of one pipeline."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._inside: dict[str, str] = {}
        self._waiting: dict[str, list[Execution]] = {}

    def enter(
        self, stage: str, execution: Execution, stop: threading.Event, is_open: Callable[[str], bool]
    ) -> Entry:
        """Wait until an execution may enter a stage; ``is_open`` tells whether its transition is enabled."""
        with self._condition:
            waiting = self._waiting.setdefault(stage, [])
            waiting.append(execution)
            waiting.sort(key=lambda one: one.start)
            if execution.mode == "SUPERSEDED":
                del waiting[:-1]
            self._condition.notify_all()
            while True:
                if execution not in waiting:
                    return "superseded"
                if stop.is_set():
                    waiting.remove(execution)
                    return "stopped"
                if is_open(stage) and self._is_free(stage, execution):
                    waiting.remove(execution)
                    self._inside[stage] = execution.id
                    return "entered"
                self._condition.wait(_POLL)

    def leave(self, stage: str, execution: Execution) -> None:
        """Make room for the next one."""
        with self._condition:
            if self._inside.get(stage) == execution.id:
                del self._inside[stage]
            self._condition.notify_all()

    def waiting(self, stage: str) -> list[str]:
        """Return the ids of those that wait for a stage, in their order."""
        with self._condition:
            return [execution.id for execution in self._waiting.get(stage, [])]

    def _is_free(self, stage: str, execution: Execution) -> bool:
        if execution.mode == "PARALLEL":
            return True
        return stage not in self._inside and self._waiting[stage][0] is execution
