"""SageMaker's pipeline executions and their steps."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from mlops_workbench.sandbox.logs import job_name
from mlops_workbench.sandbox.organisation.times import iso, seconds


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


def collect(client: Any, account: str, limit: int) -> Iterator[Execution]:
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
