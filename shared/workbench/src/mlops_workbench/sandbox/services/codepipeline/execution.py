"""One execution from its first stage to its end.

The actions of a stage run in the order of runOrder, those of equal order side by side. [read] in "How
pipeline executions work", mode SUPERSEDED: a stage holds one execution at a time, and of those that wait
for it only the newest stays.
"""

from __future__ import annotations

import logging
import threading
import traceback
from dataclasses import dataclass, field
from typing import Any, Literal

from botocore.exceptions import ClientError

from mlops_workbench.sandbox.errors import AccessDenied
from mlops_workbench.sandbox.gate import STATE
from mlops_workbench.sandbox.iam.acting import CODEPIPELINE, Role
from mlops_workbench.sandbox.services.codepipeline import actions, records, structure
from mlops_workbench.sandbox.services.codepipeline.actions.action import Action, ActionFailed
from mlops_workbench.sandbox.services.codepipeline.records import (
    ABANDONED,
    FAILED,
    SKIPPED,
    STOPPED,
    SUCCEEDED,
    SUPERSEDED,
    ActionRun,
    Execution,
    StageRun,
)
from mlops_workbench.sandbox.services.codepipeline.structure import UnknownVariable

Entry = Literal["entered", "superseded", "stopped"]
_POLL = 0.1  # seconds: a stop wakes no one
logger = logging.getLogger("mlops_workbench.sandbox.services.codepipeline")

#: What the codes of refused calls have in common; SNS says AuthorizationError.
_DENIED = ("Denied", "AuthorizationError")


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


@dataclass
class Controls:
    """What ends an execution: ``stop`` after the actions that run, ``abandon`` at once."""

    stop: threading.Event = field(default_factory=threading.Event)
    abandon: threading.Event = field(default_factory=threading.Event)


def run(execution: Execution, declaration: dict[str, Any], stage: StageRun, controls: Controls) -> str:
    """Run a stage; return Succeeded, Failed or Stopped.

    Args:
        execution: whose stage it is.
        declaration: of the stage, in the pipeline's structure.
        stage: its record.
        controls: of the execution.
    """
    for order in sorted({action.get("runOrder") or 1 for action in declaration["actions"]}):
        group = [action for action in declaration["actions"] if (action.get("runOrder") or 1) == order]
        if controls.stop.is_set():
            return STOPPED
        runs = [_begin(execution, stage, action) for action in group]
        threads = [
            threading.Thread(
                target=_run_action, args=(execution, action, one, controls), name=one.id, daemon=True
            )
            for action, one in zip(group, runs, strict=True)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if controls.stop.is_set() and any(one.status != SUCCEEDED for one in runs):
            return STOPPED
        if any(one.status != SUCCEEDED for one in runs):
            return FAILED
    return SUCCEEDED


def _begin(execution: Execution, stage: StageRun, declaration: dict[str, Any]) -> ActionRun:
    configuration = {key: str(value) for key, value in (declaration.get("configuration") or {}).items()}
    run = ActionRun(
        stage=stage.name,
        name=declaration["name"],
        type_id=dict(declaration["actionTypeId"]),
        region=declaration.get("region") or execution.region,
        role=declaration.get("roleArn"),
        configuration=configuration,
        resolved=configuration,
        namespace=declaration.get("namespace"),
    )
    with STATE.changing():
        stage.actions.append(run)
    return run


def _run_action(
    execution: Execution, declaration: dict[str, Any], run: ActionRun, controls: Controls
) -> None:
    error: dict[str, str] | None = None
    try:
        records.action(execution, run, "STARTED")
        names = [entry["name"] for entry in declaration.get("inputArtifacts") or []]
        run.update(
            resolved=structure.resolve(run.configuration, execution),
            inputs=[execution.artifacts[name] for name in names],
        )
        role = Role(
            execution.pipeline["roleArn"], CODEPIPELINE, execution.region, execution.id, execution.arn
        )
        actions.run(Action(execution, run, declaration, role, controls.stop, controls.abandon))
        if run.namespace:
            namespaces = {**execution.namespaces, run.namespace: dict(run.variables)}
            execution.update(namespaces=namespaces)
    except ActionFailed as failure:
        error = {"code": failure.code, "message": str(failure)}
    except (ClientError, AccessDenied) as failure:
        denied = isinstance(failure, AccessDenied) or any(
            word in failure.response["Error"]["Code"] for word in _DENIED
        )
        error = {"code": "PermissionError" if denied else "ConfigurationError", "message": str(failure)}
    except (UnknownVariable, LookupError) as failure:
        error = {"code": "ConfigurationError", "message": str(failure)}
    except Exception as failure:
        logger.error("action %s of %s failed:\n%s", run.name, execution.name, traceback.format_exc())
        message = f"the sandbox failed: {type(failure).__name__}: {failure}"
        error = {"code": "InternalError", "message": message}
    status = SUCCEEDED if error is None else ABANDONED if controls.abandon.is_set() else FAILED
    run.update(status=status, error=error, token=None)  # nobody is waited for any more
    records.action(execution, run, status.upper())


@dataclass
class Run:
    """What runs an execution, in a thread."""

    execution: Execution
    turnstile: Turnstile
    controls: Controls = field(default_factory=Controls)

    def run(self) -> None:
        """Run to the end; how it went is in the record."""
        execution = self.execution
        records.pipeline(execution, "STARTED")
        try:
            status = self._run_stages()
        except Exception as error:
            logger.error("execution %s failed:\n%s", execution.id, traceback.format_exc())
            status = FAILED
            execution.update(summary=f"the sandbox failed: {type(error).__name__}: {error}")
        execution.update(status=status, waiting_for=None)
        records.pipeline(execution, status.upper())

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
        status = structure.enter(execution, declaration, stage)
        if status == SUCCEEDED:
            records.stage(execution, stage.name, "STARTED")
            status = run(execution, declaration, stage, self.controls)
        with STATE.changing():
            stage.status = status
        if status != SKIPPED:  # the documented states of a stage's events have none for it
            records.stage(execution, stage.name, status.upper())
        return status
