"""What a step is given, and what it gives back."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from mlops_workbench.sandbox.pipelines.model import Step
from mlops_workbench.sandbox.pipelines.world import World


@dataclass(frozen=True)
class Call:
    """One attempt at a step.

    Attributes:
        step: as defined.
        arguments: resolved, without the name below; a Condition's are as written.
        name: of the job or model that the step creates.
        resolve: replaces the expressions in a value; for conditions, which are resolved one by one.
        world: where the step runs.
        stop: set when the execution is stopped.
        report: publishes the step's Metadata while it runs.
    """

    step: Step
    arguments: Mapping[str, Any]
    name: str
    resolve: Callable[[Any], Any]
    world: World
    stop: threading.Event
    report: Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class Outcome:
    """A step that succeeded: its properties, and which branch a condition takes (None for other steps)."""

    properties: dict[str, Any] = field(default_factory=dict)
    branch: bool | None = None
