"""One stage of one execution: its actions in the order of runOrder, those of equal order side by side."""

from __future__ import annotations

import logging
import threading
import traceback
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import ClientError

from mlops_workbench.sandbox.access import AccessDenied
from mlops_workbench.sandbox.delivery import actions, notices, variables
from mlops_workbench.sandbox.delivery.actions.action import Action, ActionFailed
from mlops_workbench.sandbox.delivery.executions import (
    ABANDONED,
    FAILED,
    STOPPED,
    SUCCEEDED,
    ActionRun,
    Execution,
    StageRun,
)
from mlops_workbench.sandbox.delivery.roles import CODEPIPELINE, Role
from mlops_workbench.sandbox.delivery.variables import UnknownVariable
from mlops_workbench.sandbox.gate import STATE

logger = logging.getLogger("mlops_workbench.sandbox.delivery")

#: What the codes of refused calls have in common; SNS says AuthorizationError.
_DENIED = ("Denied", "AuthorizationError")


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
        notices.action(execution, run, "STARTED")
        names = [entry["name"] for entry in declaration.get("inputArtifacts") or []]
        run.update(
            resolved=variables.resolve(run.configuration, execution),
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
    notices.action(execution, run, status.upper())
