"""CodePipeline's pipelines: stages, actions, the latest executions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from mlops_sandbox.organisation.times import iso

#: How many executions of a pipeline are shown.
EXECUTIONS = 5


@dataclass(frozen=True)
class Action:
    """An action and its latest execution.

    Attributes:
        waits: it is a manual approval that nobody has answered.
        token: what PutApprovalResult wants; "" unless it waits.
        external: what it started, e.g. the id of a build.
    """

    name: str
    status: str
    summary: str
    updated: str
    waits: bool
    token: str
    external: str


@dataclass(frozen=True)
class Stage:
    """A stage and its latest execution."""

    name: str
    status: str
    actions: list[Action]


@dataclass(frozen=True)
class Run:
    """An execution of a pipeline: ``revision`` says of which commit."""

    id: str
    status: str
    started: str
    trigger: str
    revision: str


@dataclass
class Pipeline:
    """A pipeline, its stages, and its latest executions, the newest first."""

    account: str
    name: str
    stages: list[Stage] = field(default_factory=list)
    executions: list[Run] = field(default_factory=list)


def collect(client: Any, account: str) -> Iterator[Pipeline]:
    """Return the pipelines of an account."""
    for page in client.get_paginator("list_pipelines").paginate():
        for listed in page["pipelines"]:
            yield describe(client, account, listed["name"])


def describe(client: Any, account: str, name: str) -> Pipeline:
    """Return one pipeline as it is now."""
    state = client.get_pipeline_state(name=name)
    stages = [
        Stage(
            stage["stageName"],
            (stage.get("latestExecution") or {}).get("status", ""),
            [_action(action) for action in stage.get("actionStates", [])],
        )
        for stage in state.get("stageStates", [])
    ]
    summaries = client.list_pipeline_executions(pipelineName=name, maxResults=EXECUTIONS)
    return Pipeline(account, name, stages, [_run(each) for each in summaries["pipelineExecutionSummaries"]])


def _action(state: dict[str, Any]) -> Action:
    latest = state.get("latestExecution") or {}
    token = latest.get("token", "")
    status = latest.get("status", "")
    return Action(
        state["actionName"],
        status,
        (latest.get("errorDetails") or {}).get("message") or latest.get("summary", ""),
        iso(latest.get("lastStatusChange")),
        # Only a manual approval has a token, and only while it can be answered.
        waits=bool(token) and status == "InProgress",
        token=token,
        external=latest.get("externalExecutionId", ""),
    )


def _run(summary: dict[str, Any]) -> Run:
    revisions = summary.get("sourceRevisions") or [{}]
    return Run(
        summary["pipelineExecutionId"],
        summary["status"],
        iso(summary.get("startTime")),
        (summary.get("trigger") or {}).get("triggerType", ""),
        revisions[0].get("revisionSummary") or revisions[0].get("revisionId", ""),
    )
