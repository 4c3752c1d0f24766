"""One execution from its first stage to its end."""

from __future__ import annotations

import logging
import traceback
from dataclasses import dataclass, field
from typing import Any

from mlops_workbench.sandbox.delivery import conditions, notices, stages
from mlops_workbench.sandbox.delivery.executions import (
    FAILED,
    SKIPPED,
    STOPPED,
    SUCCEEDED,
    SUPERSEDED,
    Execution,
    StageRun,
)
from mlops_workbench.sandbox.delivery.stages import Controls
from mlops_workbench.sandbox.delivery.turnstile import Turnstile
from mlops_workbench.sandbox.gate import STATE

logger = logging.getLogger("mlops_workbench.sandbox.delivery")


@dataclass
class Run:
    """What runs an execution, in a thread."""

    execution: Execution
    turnstile: Turnstile
    controls: Controls = field(default_factory=Controls)

    def run(self) -> None:
        """Run to the end; how it went is in the record."""
        execution = self.execution
        notices.pipeline(execution, "STARTED")
        try:
            status = self._run_stages()
        except Exception as error:
            logger.error("execution %s failed:\n%s", execution.id, traceback.format_exc())
            status = FAILED
            execution.update(summary=f"the sandbox failed: {type(error).__name__}: {error}")
        execution.update(status=status, waiting_for=None)
        notices.pipeline(execution, status.upper())

    def _run_stages(self) -> str:
        execution = self.execution
        for declaration in execution.pipeline["stages"]:
            name = declaration["name"]
            execution.update(waiting_for=name)
            entry = self.turnstile.enter(name, execution, self.controls.stop)
            execution.update(waiting_for=None)
            if entry != "entered":
                return {"superseded": SUPERSEDED, "stopped": STOPPED}[entry]
            try:
                status = self._run_stage(declaration)
            finally:
                self.turnstile.leave(name, execution)
            if status not in (SUCCEEDED, SKIPPED):
                return status
        return SUCCEEDED

    def _run_stage(self, declaration: dict[str, Any]) -> str:
        execution, stage = self.execution, StageRun(declaration["name"])
        with STATE.changing():
            execution.stages[stage.name] = stage
        status = conditions.enter(execution, declaration, stage)
        if status == SUCCEEDED:
            notices.stage(execution, stage.name, "STARTED")
            status = stages.run(execution, declaration, stage, self.controls)
        with STATE.changing():
            stage.status = status
        if status != SKIPPED:  # the documented states of a stage's events have none for it
            notices.stage(execution, stage.name, status.upper())
        return status
