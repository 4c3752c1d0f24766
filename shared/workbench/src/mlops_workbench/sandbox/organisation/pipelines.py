"""CodePipeline's pipelines: stages, actions, the latest executions."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from mlops_workbench.sandbox.organisation.times import iso

#: How many executions of a pipeline are shown.
EXECUTIONS = 5


@dataclass(frozen=True)
class Action:
    """An action and its latest execution.

    Attributes:
        waits: it is a manual approval that nobody has answered.
        token: what PutApprovalResult wants; "" unless it waits.
        external: what it started, e.g. the id of a build.
        comment: what an approval that waits says, its CustomData.
        link: what it asks to be looked at, its ExternalEntityLink.
    """

    name: str
    status: str
    summary: str
    updated: str
    waits: bool
    token: str
    external: str
    comment: str = ""
    link: str = ""


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
    stages = [_stage(client, name, stage) for stage in state.get("stageStates", [])]
    summaries = client.list_pipeline_executions(pipelineName=name, maxResults=EXECUTIONS)
    return Pipeline(account, name, stages, [_run(each) for each in summaries["pipelineExecutionSummaries"]])


def _stage(client: Any, pipeline: str, state: dict[str, Any]) -> Stage:
    latest = state.get("latestExecution") or {}
    actions = [_action(action) for action in state.get("actionStates", [])]
    if any(action.waits for action in actions):
        asked = _asked(client, pipeline, state["stageName"], latest["pipelineExecutionId"])
        actions = [
            _with(action, asked.get(action.name, {})) if action.waits else action for action in actions
        ]
    return Stage(state["stageName"], latest.get("status", ""), actions)


def _with(action: Action, settings: dict[str, str]) -> Action:
    comment, link = settings.get("CustomData", ""), settings.get("ExternalEntityLink", "")
    return dataclasses.replace(action, comment=comment, link=link)


def _asked(client: Any, pipeline: str, stage: str, execution: str) -> dict[str, dict[str, str]]:
    """Return the settings of a stage's actions, by name: the state of a pipeline does not show them."""
    listed = client.list_action_executions(pipelineName=pipeline, filter={"pipelineExecutionId": execution})
    found: dict[str, dict[str, str]] = {}
    for attempt in listed["actionExecutionDetails"]:  # the newest first
        if attempt["stageName"] == stage:
            found.setdefault(attempt["actionName"], attempt["input"].get("resolvedConfiguration") or {})
    return found


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
