"""Events of pipeline executions and their steps, when they change.

[read] Amazon SageMaker developer guide, "Events that Amazon SageMaker AI sends to Amazon EventBridge".
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from mlops_workbench.sandbox import session
from mlops_workbench.sandbox.aws.sagemaker.records import EVENT_SOURCE, plain
from mlops_workbench.sandbox.pipelines.journal import ACTIVE, ExecutionRecord, StepRecord

EXECUTION = "SageMaker Model Building Pipeline Execution Status Change"
STEP = "SageMaker Model Building Pipeline Execution Step Status Change"


class Notices:
    """Compares each record of an execution with the one before and tells what has changed."""

    def __init__(self) -> None:
        """Know of no execution."""
        self._seen: dict[str, dict[str, str]] = {}

    def saw(self, record: ExecutionRecord) -> None:
        """Tell of the changes in a record; called with one execution's records in their order."""
        before = self._seen.setdefault(record.arn, {})
        for step in list(record.steps.values()):
            if step.status != before.get(step.name):
                _step_changed(record, step, before.get(step.name))
                before[step.name] = step.status
        # The empty name is no step's.
        if record.status != before.get(""):
            _execution_changed(record, before.get(""))
            before[""] = record.status
        if record.status not in ACTIVE:
            self._seen.pop(record.arn, None)


def _execution_changed(record: ExecutionRecord, previous: str | None) -> None:
    detail: dict[str, Any] = {
        "pipelineExecutionDisplayName": record.display_name,
        "pipelineExecutionDescription": record.description,
        "pipelineArn": record.pipeline_arn,
        "pipelineExecutionArn": record.arn,
        "currentPipelineExecutionStatus": record.status,
        "executionStartTime": _time(record.created),
    }
    if previous is not None:
        detail["previousPipelineExecutionStatus"] = previous
    if record.status not in ACTIVE:
        detail["executionEndTime"] = _time(record.modified)
    _emit(record, EXECUTION, detail)


def _step_changed(record: ExecutionRecord, step: StepRecord, previous: str | None) -> None:
    detail: dict[str, Any] = {
        "metadata": _lower(step.metadata),
        "stepStartTime": _time(step.start),
        "stepName": step.name,
        "stepType": step.type,
        "currentStepStatus": step.status,
        "pipelineArn": record.pipeline_arn,
        "pipelineExecutionArn": record.arn,
    }
    if previous is not None:
        detail["previousStepStatus"] = previous
    if step.end is not None:
        detail["stepEndTime"] = _time(step.end)
    if step.failure_reason:
        detail["failureReason"] = step.failure_reason
    _emit(record, STEP, detail)


def _emit(record: ExecutionRecord, detail_type: str, detail: dict[str, Any]) -> None:
    region, account = record.arn.split(":")[3:5]
    session.emit(account, region, EVENT_SOURCE, detail_type, detail, [record.pipeline_arn, record.arn])


def _time(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%SZ}"


def _lower(metadata: Any) -> Any:
    """Write keys as the events do: ``{"processingJob": {"arn": …}}``."""
    if isinstance(metadata, Mapping):
        return {key[0].lower() + key[1:]: _lower(value) for key, value in metadata.items()}
    return [_lower(item) for item in metadata] if isinstance(metadata, list) else plain(metadata)
