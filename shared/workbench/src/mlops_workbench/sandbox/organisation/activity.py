"""What goes on in an account: alarms, builds, endpoints, and pipeline executions with their steps."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import ClientError

from mlops_workbench.sandbox.follow import job_name

#: What asks for a person first.
_ORDER = ("ALARM", "INSUFFICIENT_DATA", "OK")


def iso(value: Any) -> str:
    """Return a datetime, or seconds since the epoch, as text; "" for None."""
    if value is None:
        return ""
    if isinstance(value, (int, float)):
        value = datetime.fromtimestamp(value, UTC)
    if not isinstance(value, datetime):
        return str(value)
    return f"{value.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def seconds(start: Any, end: Any) -> float | None:
    """Return how long something took, or has taken so far; None if it has not begun."""
    if not isinstance(start, datetime):
        return None
    until = end if isinstance(end, datetime) else datetime.now(UTC)
    return round(max(0.0, (until - start).total_seconds()), 1)


@dataclass(frozen=True)
class Alarm:
    """An alarm; ``since`` is when it came into its state."""

    account: str
    name: str
    state: str
    reason: str
    since: str


def collect_alarms(client: Any, account: str) -> Iterator[Alarm]:
    """Return the alarms of an account, those that are in ALARM first."""
    found = [
        Alarm(
            account,
            alarm["AlarmName"],
            alarm["StateValue"],
            alarm.get("StateReason", ""),
            iso(alarm.get("StateUpdatedTimestamp")),
        )
        for page in client.get_paginator("describe_alarms").paginate()
        for alarm in page["MetricAlarms"]
    ]
    yield from sorted(found, key=lambda alarm: (_ORDER.index(alarm.state), alarm.name))


@dataclass(frozen=True)
class Build:
    """A build: ``id`` is ``<project>:<uuid>``, ``reason`` why it failed."""

    account: str
    id: str
    project: str
    status: str
    phase: str
    started: str
    seconds: float | None
    reason: str


def collect_builds(client: Any, account: str, limit: int) -> Iterator[Build]:
    """Return the newest builds of an account, the newest first."""
    ids = client.list_builds(sortOrder="DESCENDING").get("ids", [])[:limit]
    if ids:
        for build in client.batch_get_builds(ids=ids)["builds"]:
            yield _build(build, account)


def _build(build: dict[str, Any], account: str) -> Build:
    contexts = [
        context["message"]
        for phase in build.get("phases", [])
        for context in phase.get("contexts", [])
        if context.get("message")
    ]
    return Build(
        account,
        build["id"],
        build["projectName"],
        build["buildStatus"],
        build.get("currentPhase", ""),
        iso(build.get("startTime")),
        seconds(build.get("startTime"), build.get("endTime")),
        contexts[0] if contexts and build["buildStatus"] not in ("SUCCEEDED", "IN_PROGRESS") else "",
    )


def build_log(codebuild: Any, cloudwatch: Any, build_id: str) -> Iterator[str]:
    """Return the lines of a build's log so far, from CloudWatch Logs.

    Raises:
        LookupError: there is no such build, or it has no log.
    """
    found = codebuild.batch_get_builds(ids=[build_id])["builds"]
    if not found:
        raise LookupError(f"no build {build_id!r}")
    place = found[0].get("logs") or {}
    if not place.get("groupName") or not place.get("streamName"):
        raise LookupError(f"build {build_id!r} has no log")
    request = {
        "logGroupName": place["groupName"],
        "logStreamName": place["streamName"],
        "startFromHead": True,
    }
    token: str | None = None
    while True:
        page = cloudwatch.get_log_events(**request, **({"nextToken": token} if token else {}))
        for event in page["events"]:
            yield from event["message"].splitlines() or [""]
        # The service gives the same token again at the end.
        if not page["events"] or page["nextForwardToken"] == token:
            return
        token = page["nextForwardToken"]


@dataclass(frozen=True)
class Endpoint:
    """An endpoint.

    Attributes:
        configuration: the name of the endpoint configuration that serves.
        model: the model package that its variant is made of, ``email-router/3``, or else the model's name.
        reason: why its creation or last update failed.
    """

    account: str
    name: str
    status: str
    configuration: str
    model: str
    updated: str
    reason: str


def collect_endpoints(client: Any, account: str, limit: int) -> Iterator[Endpoint]:
    """Return the endpoints of an account, those that changed last first."""
    listed = client.list_endpoints(SortBy="CreationTime", SortOrder="Descending", MaxResults=limit)
    for summary in listed["Endpoints"]:
        try:
            yield _describe(client, account, summary["EndpointName"])
        except ClientError:
            if client.list_endpoints(NameContains=summary["EndpointName"])["Endpoints"]:
                raise
            # It was deleted between the two calls.


def _describe(client: Any, account: str, name: str) -> Endpoint:
    endpoint = client.describe_endpoint(EndpointName=name)
    configuration = endpoint.get("EndpointConfigName", "")
    return Endpoint(
        account,
        name,
        endpoint["EndpointStatus"],
        configuration,
        _model(client, configuration),
        iso(endpoint.get("LastModifiedTime")),
        endpoint.get("FailureReason", ""),
    )


def _model(client: Any, configuration: str) -> str:
    """Return what a configuration serves; "" when it has been deleted meanwhile, which AWS allows."""
    try:
        variants = client.describe_endpoint_config(EndpointConfigName=configuration)["ProductionVariants"]
        name = str(variants[0]["ModelName"])
    except ClientError:
        return ""
    try:
        container = client.describe_model(ModelName=name).get("PrimaryContainer") or {}
    except ClientError:
        return name
    package = container.get("ModelPackageName", "")
    return "/".join(package.rsplit("/", 2)[-2:]) if package else name


@dataclass(frozen=True)
class Step:
    """A step that has begun: ``job`` is the name of its job, "" if it has none."""

    name: str
    kind: str
    status: str
    seconds: float | None
    reason: str
    job: str


@dataclass
class Execution:
    """A pipeline execution; steps are in the order in which they began."""

    account: str
    pipeline: str
    id: str
    status: str
    started: str
    reason: str
    steps: list[Step] = field(default_factory=list)


def collect_executions(client: Any, account: str, limit: int) -> Iterator[Execution]:
    """Return the newest executions of every pipeline of an account."""
    for page in client.get_paginator("list_pipelines").paginate():
        for pipeline in page["PipelineSummaries"]:
            name = pipeline["PipelineName"]
            listed = client.list_pipeline_executions(
                PipelineName=name, SortBy="CreationTime", SortOrder="Descending", MaxResults=limit
            )
            for summary in listed["PipelineExecutionSummaries"]:
                yield _execution(client, account, name, summary)


def _execution(client: Any, account: str, pipeline: str, summary: dict[str, Any]) -> Execution:
    arn = summary["PipelineExecutionArn"]
    steps = [
        Step(
            step["StepName"],
            next(iter(step.get("Metadata") or {}), ""),
            step["StepStatus"],
            seconds(step.get("StartTime"), step.get("EndTime")),
            step.get("FailureReason", ""),
            job_name(step),
        )
        for page in client.get_paginator("list_pipeline_execution_steps").paginate(
            PipelineExecutionArn=arn, SortOrder="Ascending"
        )
        for step in page["PipelineExecutionSteps"]
    ]
    return Execution(
        account,
        pipeline,
        arn.rsplit("/", 1)[-1],
        summary["PipelineExecutionStatus"],
        iso(summary.get("StartTime")),
        summary.get("PipelineExecutionFailureReason", ""),
        steps,
    )
