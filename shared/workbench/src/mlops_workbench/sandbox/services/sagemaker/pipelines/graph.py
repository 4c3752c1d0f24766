"""Which step waits for which, and which may start next: without threads, clocks or jobs.

A step waits for the steps that it refers to, for those in DependsOn, and for the condition steps around
it. A DependsOn on a Condition step waits for the taken branch's steps as well: a step after the fork runs
when the whole fork is done.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum

from mlops_workbench.sandbox.services.sagemaker.pipelines.expressions import references
from mlops_workbench.sandbox.services.sagemaker.pipelines.model import Definition, Step


@dataclass(frozen=True)
class Dependencies:
    """What one step waits for.

    Attributes:
        needs: steps that must have succeeded; if one of them is not run, neither is this step.
        follows: steps of the branches of a condition in DependsOn: must be done or not to be run.
    """

    needs: frozenset[str]
    follows: frozenset[str] = frozenset()


def referenced_steps(step: Step) -> Iterator[str]:
    """Yield the names of the steps that a step's arguments (and a Lambda's function ARN) refer to."""
    for reference in references([step.arguments, step.function_arn]):
        if reference.root == "Steps":
            yield reference.name


def members(definition: Definition, condition: str) -> frozenset[str]:
    """Return the steps in a condition's branches, at any depth."""
    return frozenset(
        name for name, step in definition.steps.items() if any(outer == condition for outer, _ in step.inside)
    )


def dependencies(definition: Definition) -> dict[str, Dependencies]:
    """Return what every step waits for; names of steps that do not exist are left out."""
    result = {}
    for name, step in definition.steps.items():
        around = {outer for outer, _ in step.inside}
        needs = {*referenced_steps(step), *step.depends_on, *around} & definition.steps.keys()
        follows: set[str] = set()
        for other in step.depends_on:
            found = definition.steps.get(other)
            # Inside the branch itself, DependsOn on the condition adds nothing to being inside it.
            if found is not None and found.type == "Condition" and other not in around:
                follows |= members(definition, other)
        result[name] = Dependencies(frozenset(needs), frozenset(follows))
    return result


def find_cycle(edges: Mapping[str, Iterable[str]]) -> list[str]:
    """Return the steps of one cycle, the first repeated at the end, or an empty list."""
    state: dict[str, int] = {}
    for start in edges:
        # Iterative depth-first search: a definition may chain more steps than Python's stack is deep.
        path: list[str] = []
        stack: list[tuple[str, bool]] = [(start, False)]
        while stack:
            node, leaving = stack.pop()
            if leaving:
                state[node] = 2
                path.pop()
            elif state.get(node) == 1:
                return [*path[path.index(node) :], node]
            elif node not in state:
                state[node] = 1
                path.append(node)
                stack.append((node, True))
                stack += [(other, False) for other in sorted(edges.get(node, ()))]
    return []


def branch_conflicts(definition: Definition, waits: Mapping[str, Dependencies]) -> dict[str, str]:
    """Return steps that can never run, as they need both branches of one condition: step -> condition.

    Only for definitions without a cycle.
    """
    required: dict[str, frozenset[tuple[str, str]]] = {}
    conflicts: dict[str, str] = {}
    for name in _ordered({step: wait.needs for step, wait in waits.items()}):
        branches = set(definition.steps[name].inside)
        for other in waits[name].needs:
            branches |= required[other]
        required[name] = frozenset(branches)
        for condition, branch in branches:
            if branch == "IfSteps" and (condition, "ElseSteps") in branches:
                inherited = any(other in conflicts for other in waits[name].needs)
                if not inherited:
                    conflicts[name] = condition
    return conflicts


def _ordered(edges: Mapping[str, Iterable[str]]) -> list[str]:
    order: dict[str, None] = {}
    stack: list[tuple[str, bool]] = [(name, False) for name in reversed(list(edges))]
    while stack:
        node, ready = stack.pop()
        if node in order:
            continue
        if ready:
            order[node] = None
        else:
            stack.append((node, True))
            stack += [(other, False) for other in edges[node] if other not in order]
    return list(order)


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
