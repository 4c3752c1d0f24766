"""What is on its way to production: CodePipeline's pipelines, and model packages with their metrics."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from mlops_workbench.sandbox.organisation.activity import iso
from mlops_workbench.sandbox.services.sagemaker.pipelines.s3 import split_uri

#: How many metrics of a model package are shown, and how large their file may be, in bytes.
METRICS, METRICS_BYTES = 8, 1_000_000
#: Metrics by the address and ETag of their file.
_read: dict[tuple[str, str], tuple[tuple[str, str], ...]] = {}
#: How many executions of a pipeline are shown.
EXECUTIONS = 5


@dataclass
class Package:
    """A version of a model package group; metrics are (name, value) as text."""

    account: str
    group: str
    version: int
    arn: str
    approval: str
    created: str
    description: str = ""
    metrics: list[tuple[str, str]] = field(default_factory=list)


def collect_packages(client: Any, s3: Any, account: str, limit: int) -> Iterator[Package]:
    """Return the newest versions of every group of an account, the newest first."""
    for page in client.get_paginator("list_model_package_groups").paginate():
        for group in page["ModelPackageGroupSummaryList"]:
            listed = client.list_model_packages(
                ModelPackageGroupName=group["ModelPackageGroupName"],
                SortBy="CreationTime",
                SortOrder="Descending",
                MaxResults=limit,
            )
            for summary in listed["ModelPackageSummaryList"]:
                yield describe_package(client, s3, account, summary["ModelPackageArn"])


def describe_package(client: Any, s3: Any, account: str, arn: str) -> Package:
    """Return one model package."""
    package = client.describe_model_package(ModelPackageName=arn)
    quality = (package.get("ModelMetrics") or {}).get("ModelQuality") or {}
    uri = (quality.get("Statistics") or {}).get("S3Uri", "")
    properties = (package.get("CustomerMetadataProperties") or {}).items()
    metrics = _metrics(s3, uri) if uri else ()
    return Package(
        account,
        package.get("ModelPackageGroupName", ""),
        package.get("ModelPackageVersion", 0),
        arn,
        package.get("ModelApprovalStatus", ""),
        iso(package.get("CreationTime")),
        package.get("ModelPackageDescription", ""),
        list(metrics or properties)[:METRICS],
    )


def _metrics(s3: Any, uri: str) -> tuple[tuple[str, str], ...]:
    bucket, key = split_uri(uri)
    try:
        head = s3.head_object(Bucket=bucket, Key=key)
    except (BotoCoreError, ClientError):
        return ()
    if head["ContentLength"] > METRICS_BYTES:
        return ()
    known = (uri, head["ETag"])
    if known not in _read:
        # The page asks each second, and what has this ETag stays the same.
        body = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        try:
            _read[known] = tuple(flatten(json.loads(body)))
        except ValueError:
            _read[known] = ()
    return _read[known]


def flatten(document: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Return the numbers of a model quality report: ``{"accuracy": {"value": 0.9}}`` is accuracy 0.9."""
    if isinstance(document, bool) or document is None:
        return
    if isinstance(document, (int, float)):
        yield name, f"{document:.4g}" if isinstance(document, float) else str(document)
    elif isinstance(document, dict):
        for key, value in document.items():
            if key != "standard_deviation":
                yield from flatten(value, name if key == "value" else str(key))


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


def collect_pipelines(client: Any, account: str) -> Iterator[Pipeline]:
    """Return the pipelines of an account."""
    for page in client.get_paginator("list_pipelines").paginate():
        for listed in page["pipelines"]:
            yield describe_pipeline(client, account, listed["name"])


def describe_pipeline(client: Any, account: str, name: str) -> Pipeline:
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
