"""One execution from its first stage to its end, or from a stage that is retried."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from mlops_workbench.sandbox.delivery import conditions, notices, stages
from mlops_workbench.sandbox.delivery.executions import (
    FAILED,
    IN_PROGRESS,
    SKIPPED,
    STOPPED,
    SUCCEEDED,
    SUPERSEDED,
    Execution,
    StageRun,
    now,
)
from mlops_workbench.sandbox.delivery.stages import Controls
from mlops_workbench.sandbox.delivery.turnstile import Turnstile
from mlops_workbench.sandbox.gate import STATE

logger = logging.getLogger("mlops_workbench.sandbox.delivery")


@dataclass
class Run:
    """What runs an execution, in a thread.

    Attributes:
        first: the stage to begin with; the pipeline's first, unless it is a retry or a rollback.
        retry: FAILED_ACTIONS or ALL_ACTIONS, for the first stage of a retry.
        roll_back: called with the execution and the stage that failed, when its onFailure says so.
        is_open: tells whether the transition into a stage is enabled.
    """

    execution: Execution
    turnstile: Turnstile
    is_open: Callable[[str], bool]
    roll_back: Callable[[Execution, str], None]
    first: str | None = None
    retry: str | None = None
    controls: Controls = field(default_factory=Controls)

    def run(self) -> None:
        """Run to the end; how it went is in the record."""
        execution = self.execution
        notices.pipeline(execution, "RESUMED" if self.retry else "STARTED")
        failed_stage = None
        try:
            status, failed_stage = self._run_stages()
        except Exception as error:
            logger.error("execution %s failed:\n%s", execution.id, traceback.format_exc())
            status = FAILED
            execution.update(summary=f"the sandbox failed: {type(error).__name__}: {error}")
        execution.update(status=status, waiting_for=None)
        notices.pipeline(execution, status.upper())
        if status == FAILED and failed_stage:
            self.roll_back(execution, failed_stage)

    def _run_stages(self) -> tuple[str, str | None]:
        """Return the status, and the stage after whose failure a rollback is wanted."""
        execution = self.execution
        declarations: list[dict[str, Any]] = execution.pipeline["stages"]
        names = [declaration["name"] for declaration in declarations]
        begin = names.index(self.first) if self.first else 0
        chosen = declarations[begin : begin + 1] if execution.target else declarations[begin:]
        for index, declaration in enumerate(chosen):
            name = declaration["name"]
            retry = self.retry if index == 0 else None
            execution.update(waiting_for=name)
            entry = self.turnstile.enter(name, execution, self.controls.stop, self.is_open)
            execution.update(waiting_for=None)
            if entry != "entered":
                return {"superseded": SUPERSEDED, "stopped": STOPPED}[entry], None
            try:
                status = self._run_stage(declaration, retry, automatic=False)
                failure = declaration.get("onFailure") or {}
                if status == FAILED and failure.get("result") == "RETRY" and not retry:
                    mode = (failure.get("retryConfiguration") or {}).get("retryMode") or "FAILED_ACTIONS"
                    status = self._run_stage(declaration, mode, automatic=True)
            finally:
                self.turnstile.leave(name, execution)
            if status not in (SUCCEEDED, SKIPPED):
                wanted = failure.get("result") == "ROLLBACK" and not execution.target
                return status, name if wanted else None
        return SUCCEEDED, None

    def _run_stage(self, declaration: dict[str, Any], retry: str | None, *, automatic: bool) -> str:
        execution, name = self.execution, declaration["name"]
        with STATE.changing():
            stage = execution.stages.setdefault(name, StageRun(name))
            stage.status, stage.kind, stage.entered = IN_PROGRESS, execution.kind, now()
            if retry:
                trigger = "AutomatedStageRetry" if automatic else "ManualStageRetry"
                stage.retries.append({"mode": retry, "trigger": trigger, "time": now()})
        status = conditions.enter(execution, declaration, stage)
        if status == SUCCEEDED:
            notices.stage(execution, name, "RESUMED" if retry else "STARTED")
            status = stages.run(
                execution, declaration, stage, self.controls, skip_succeeded=retry == "FAILED_ACTIONS"
            )
        with STATE.changing():
            stage.status = status
        if status != SKIPPED:  # the documented states of a stage's events have none for it
            notices.stage(execution, name, status.upper())
        return status
