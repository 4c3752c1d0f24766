"""What is known of executions, and their events.

The records are on moto's CodePipeline backend, so that snapshots keep them. The events go to the default
bus. [read] in "Monitoring CodePipeline events".
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, cast

from moto.codepipeline.models import CodePipelineBackend, codepipeline_backends

from mlops_workbench.sandbox import session
from mlops_workbench.sandbox.gate import STATE

IN_PROGRESS, STOPPING, STOPPED = "InProgress", "Stopping", "Stopped"
SUCCEEDED, FAILED, SUPERSEDED = "Succeeded", "Failed", "Superseded"
ABANDONED, SKIPPED = "Abandoned", "Skipped"
_INTERRUPTED = "the sandbox's process ended before the execution did"
_KIND = "CodePipeline {} Execution State Change"


def now() -> datetime:
    """Return the time as answers carry it."""
    return datetime.now(UTC)


@dataclass
class Artifact:
    """A zip in the artifact store."""

    name: str
    bucket: str
    key: str
    revision: str = ""


@dataclass
class ActionRun:
    """One action of a stage, as it ran."""

    stage: str
    name: str
    type_id: dict[str, str]
    region: str
    role: str | None
    configuration: dict[str, str]
    resolved: dict[str, str]
    namespace: str | None
    inputs: list[Artifact] = field(default_factory=list)
    outputs: list[Artifact] = field(default_factory=list)
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    status: str = IN_PROGRESS
    start: datetime = field(default_factory=now)
    updated: datetime = field(default_factory=now)
    summary: str = ""
    external_id: str = ""
    external_url: str = ""
    error: dict[str, str] | None = None
    variables: dict[str, str] = field(default_factory=dict)
    revision: dict[str, Any] | None = None
    token: str | None = None
    approval: dict[str, str] | None = None
    updated_by: str | None = None

    def update(self, **changes: Any) -> None:
        """Change what is known, between snapshots."""
        with STATE.changing():
            for name, value in changes.items():
                setattr(self, name, value)
            self.updated = now()


@dataclass
class RuleRun:
    """One look at a rule of a stage's entry condition."""

    stage: str
    name: str
    type_id: dict[str, str]
    region: str
    configuration: dict[str, str]
    resolved: dict[str, str]
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    status: str = IN_PROGRESS
    start: datetime = field(default_factory=now)
    updated: datetime = field(default_factory=now)
    summary: str = ""
    error: dict[str, str] | None = None

    def update(self, **changes: Any) -> None:
        """Change what is known, between snapshots."""
        with STATE.changing():
            for name, value in changes.items():
                setattr(self, name, value)
            self.updated = now()


@dataclass
class StageRun:
    """A stage of one execution: its state, its rules and its actions in the order in which they began.

    Attributes:
        condition: how its entry condition went; empty when it has none.
        entered: when the execution came to it.
    """

    name: str
    status: str = IN_PROGRESS
    entered: datetime = field(default_factory=now)
    condition: str = ""
    condition_summary: str = ""
    rules: list[RuleRun] = field(default_factory=list)
    actions: list[ActionRun] = field(default_factory=list)

    def action(self, name: str) -> ActionRun | None:
        """Return an action's run, or ``None`` if it has not begun."""
        return next((run for run in self.actions if run.name == name), None)


@dataclass
class Execution:
    """One execution, with the pipeline as it was when it started."""

    account: str
    region: str
    pipeline: dict[str, Any]
    trigger: dict[str, str]
    variables: dict[str, str]
    overrides: list[dict[str, str]] = field(default_factory=list)
    token: str | None = None
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    status: str = IN_PROGRESS
    summary: str = ""
    start: datetime = field(default_factory=now)
    updated: datetime = field(default_factory=now)
    stages: dict[str, StageRun] = field(default_factory=dict)
    artifacts: dict[str, Artifact] = field(default_factory=dict)
    namespaces: dict[str, dict[str, str]] = field(default_factory=dict)
    revisions: list[dict[str, Any]] = field(default_factory=list)
    waiting_for: str | None = None
    stop_reason: str | None = None

    @property
    def name(self) -> str:
        """Return the pipeline's name."""
        return cast(str, self.pipeline["name"])

    @property
    def arn(self) -> str:
        """Return the pipeline's ARN."""
        return f"arn:aws:codepipeline:{self.region}:{self.account}:{self.name}"

    @property
    def running(self) -> bool:
        """Tell whether it has not ended."""
        return self.status in (IN_PROGRESS, STOPPING)

    def update(self, **changes: Any) -> None:
        """Change what is known, between snapshots."""
        with STATE.changing():
            for name, value in changes.items():
                setattr(self, name, value)
            self.updated = now()


def of_backend(backend: CodePipelineBackend) -> dict[str, list[Execution]]:
    """Return the executions of an account and region by pipeline, oldest first."""
    return cast(dict[str, list[Execution]], vars(backend).setdefault("sandbox_executions", {}))


def of_pipeline(account: str, region: str, name: str) -> list[Execution]:
    """Return a pipeline's executions, oldest first."""
    return list(of_backend(codepipeline_backends[account][region]).get(name, []))


def fail_interrupted() -> None:
    """Mark as failed what a process left behind when it ended."""
    for account, region, _ in codepipeline_backends.iter_backends():
        backend = codepipeline_backends[account][region]
        for execution in (one for several in of_backend(backend).values() for one in several):
            if not execution.running:
                continue
            for stage in execution.stages.values():
                for action in stage.actions:
                    if action.status == IN_PROGRESS:
                        action.update(
                            status=FAILED, token=None, error={"code": "JobFailed", "message": _INTERRUPTED}
                        )
                if stage.status in (IN_PROGRESS, STOPPING):
                    stage.status = FAILED
            execution.update(status=FAILED, summary=_INTERRUPTED, waiting_for=None)


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
