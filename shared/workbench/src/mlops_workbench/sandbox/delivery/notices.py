"""The events of CodePipeline on the default bus. [read] in "Monitoring CodePipeline events"."""

from __future__ import annotations

from typing import Any

from mlops_workbench.sandbox import session
from mlops_workbench.sandbox.delivery.executions import ActionRun, Artifact, Execution

_KIND = "CodePipeline {} Execution State Change"


def pipeline(execution: Execution, state: str) -> None:
    """Tell that an execution is STARTED, SUCCEEDED, FAILED, STOPPING, STOPPED or SUPERSEDED."""
    trigger = execution.trigger
    detail = {
        "execution-trigger": {
            "trigger-type": trigger["triggerType"],
            "trigger-detail": trigger["triggerDetail"],
        },
        "pipeline-execution-attempt": 1.0,
    }
    _emit(execution, "Pipeline", {"state": state, **detail})


def stage(execution: Execution, name: str, state: str) -> None:
    """Tell that a stage is STARTED, SUCCEEDED, FAILED or STOPPED."""
    _emit(execution, "Stage", {"stage": name, "state": state})


def action(execution: Execution, run: ActionRun, state: str) -> None:
    """Tell that an action is STARTED, SUCCEEDED, FAILED or ABANDONED."""
    detail: dict[str, Any] = {
        "stage": run.stage,
        "action": run.name,
        "action-execution-id": run.id,
        "state": state,
        "region": run.region,
        "type": {key: run.type_id[key] for key in ("owner", "provider", "category", "version")},
        "input-artifacts": [_artifact(one) for one in run.inputs],
        "output-artifacts": [_artifact(one) for one in run.outputs],
    }
    if state != "STARTED":
        summary = run.error["message"] if run.error else run.summary
        detail["execution-result"] = {
            "external-execution-id": run.external_id,
            "external-execution-url": run.external_url,
            "external-execution-summary": summary,
            **({"error-code": run.error["code"]} if run.error else {}),
        }
    _emit(execution, "Action", detail)


def _emit(execution: Execution, what: str, detail: dict[str, Any]) -> None:
    common = {
        "pipeline": execution.name,
        "execution-id": execution.id,
        "start-time": f"{execution.start:%Y-%m-%dT%H:%M:%S}.{execution.start.microsecond // 1000:03}Z",
        "version": float(execution.pipeline["version"]),
    }
    session.emit(
        execution.account,
        execution.region,
        "aws.codepipeline",
        _KIND.format(what),
        common | detail,
        [execution.arn],
    )


def _artifact(artifact: Artifact) -> dict[str, Any]:
    return {"name": artifact.name, "s3location": {"bucket": artifact.bucket, "key": artifact.key}}
