"""Which steps may start next: the state of a run, without threads, clocks or jobs."""

from __future__ import annotations

from enum import Enum

from mlops_workbench.sandbox.pipelines.graph import dependencies
from mlops_workbench.sandbox.pipelines.model import Definition


class State(Enum):
    """Where a step is; SKIPPED is the branch not taken, and what needs a step of it."""

    WAITING = "waiting"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    ENDED = "failed or stopped"
    SKIPPED = "skipped"


class Schedule:
    """The steps of one execution."""

    def __init__(self, definition: Definition) -> None:
        """Let every step wait."""
        self._definition = definition
        self._waits = dependencies(definition)
        self.states = dict.fromkeys(definition.steps, State.WAITING)

    def ready(self) -> list[str]:
        """Return the steps that may start now, in the order of the document."""
        done = (State.SUCCEEDED, State.SKIPPED)
        return [
            name
            for name, state in self.states.items()
            if state is State.WAITING
            and all(self.states[other] is State.SUCCEEDED for other in self._waits[name].needs)
            and all(self.states[other] in done for other in self._waits[name].follows)
        ]

    def start(self, name: str) -> None:
        """Note that a step began."""
        self.states[name] = State.RUNNING

    def end(self, name: str) -> None:
        """Note that a step ended without success; what needs it will never be ready."""
        self.states[name] = State.ENDED

    def succeed(self, name: str, outcome: bool | None = None) -> None:
        """Note that a step succeeded; a condition's outcome takes the other branch out of the run."""
        self.states[name] = State.SUCCEEDED
        if outcome is None:
            return
        lost = (name, "ElseSteps" if outcome else "IfSteps")
        for other, step in self._definition.steps.items():
            if lost in step.inside:
                self.states[other] = State.SKIPPED
        self._skip_needy()

    def _skip_needy(self) -> None:
        changed = True
        while changed:
            changed = False
            for name, state in self.states.items():
                needs = self._waits[name].needs
                if state is State.WAITING and any(self.states[other] is State.SKIPPED for other in needs):
                    self.states[name] = State.SKIPPED
                    changed = True
