"""The executions of a sandbox: starting, stopping and finding them, and telling of their changes.

[read] Amazon SageMaker developer guide, "Events that Amazon SageMaker AI sends to Amazon EventBridge".
"""

from __future__ import annotations

import os
import secrets
import string
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mlops_workbench.sandbox import session
from mlops_workbench.sandbox.services.sagemaker.pipelines.execution import Execution
from mlops_workbench.sandbox.services.sagemaker.pipelines.journal import (
    ACTIVE,
    ExecutionRecord,
    Journal,
    StepRecord,
    mark_interrupted,
    process_identity,
)
from mlops_workbench.sandbox.services.sagemaker.pipelines.prepare import prepare
from mlops_workbench.sandbox.services.sagemaker.pipelines.steps import World
from mlops_workbench.sandbox.services.sagemaker.records import EVENT_SOURCE, plain

_ID_ALPHABET = string.ascii_lowercase + string.digits
#: How many executions run at a time; a thousand that begin at once would be a thousand times their processes.
SWITCH = "MLOPS_SANDBOX_EXECUTIONS"
_AT_A_TIME = 4
EXECUTION = "SageMaker Model Building Pipeline Execution Status Change"
STEP = "SageMaker Model Building Pipeline Execution Step Status Change"


class Executions:
    """Every execution of one sandbox folder, those of earlier processes too.

    So many run at a time; the others wait for their turn, in order, and are Executing without a step.
    """

    def __init__(
        self,
        folder: Path,
        world: Callable[[ExecutionRecord], World],
        finished: Callable[[], None] = lambda: None,
        changed: Callable[[ExecutionRecord], None] = lambda record: None,
    ) -> None:
        """Read the journal; an execution whose process is gone becomes Failed, "interrupted".

        Args:
            folder: of the journal.
            world: an execution's record -> where its steps run.
            finished: called after each execution's end.
            changed: called with an execution's record after each of its changes.
        """
        self._journal = Journal(folder)
        self._world = world
        self._finished = finished
        self._changed = changed
        self._lock = threading.Lock()
        # Held for the whole of a start, so that a token starts one execution however fast it is repeated.
        self._starting = threading.Lock()
        # Started and not ended, in their order; and those of them whose turn has not come.
        self._running: dict[str, Execution] = {}
        self._waiting: dict[str, Execution] = {}
        self._limit = max(1, int(os.environ.get(SWITCH) or _AT_A_TIME))
        self._records = self._journal.load()
        for record in self._records.values():
            if mark_interrupted(record):
                self._journal.save(record)

    def start(
        self,
        pipeline_arn: str,
        definition: str,
        given: Iterable[tuple[str, str]] = (),
        *,
        display_name: str = "",
        description: str = "",
        parallelism: int | None = None,
        token: str = "",
    ) -> ExecutionRecord:
        """Check a pipeline's definition with its parameters, and run it; returns at once.

        Args:
            pipeline_arn: the account and the region are taken from it.
            definition: JSON text.
            given: the parameters' values, as text.
            display_name: shown beside the id.
            description: of this execution.
            parallelism: the most steps that run at a time; None for no limit.
            token: of the request; the execution of this pipeline that it started before is returned as it is.

        Raises:
            DefinitionError: nothing was started; carries every problem.
        """
        with self._starting:
            if token and (earlier := self._started_by(pipeline_arn, token)):
                return earlier
            record = _new_record(pipeline_arn, definition, list(given))
            record.display_name = display_name or record.display_name
            record.description, record.parallelism, record.token = description, parallelism, token
            return self._run(record)

    def _started_by(self, pipeline_arn: str, token: str) -> ExecutionRecord | None:
        with self._lock:
            found = [r for r in self._records.values() if (r.pipeline_arn, r.token) == (pipeline_arn, token)]
        return self.find(found[0].arn) if found else None

    def _run(self, record: ExecutionRecord) -> ExecutionRecord:
        checked, values = prepare(record.definition, [(p["Name"], p["Value"]) for p in record.parameters])
        execution = Execution(
            checked,
            values,
            record,
            self._world(record),
            self._journal,
            earlier=lambda: [
                other for other in self.of_pipeline(record.pipeline_arn) if other.id != record.id
            ],
            finished=lambda: self._ended(record.id),
            changed=self._changed,
        )
        execution.record()
        with self._lock:
            self._records[record.id] = record
            self._running[record.id] = self._waiting[record.id] = execution
        answer = execution.snapshot()
        self._start_waiting()
        return answer

    def _start_waiting(self) -> None:
        """Let as many of those that wait begin as may run."""
        while True:
            with self._lock:
                if not self._waiting or len(self._running) - len(self._waiting) >= self._limit:
                    return
                self._waiting.pop(next(iter(self._waiting))).start()

    def _ended(self, id_: str) -> None:
        """Make room for the next one; called at an execution's end, whose record no longer changes."""
        with self._lock:
            self._running.pop(id_, None)
        self._start_waiting()
        self._finished()

    def find(self, arn: str) -> ExecutionRecord | None:
        """Return an execution as it is now, by its ARN, or None."""
        id_ = arn.rsplit("/", 1)[-1]
        with self._lock:
            execution, record = self._running.get(id_), self._records.get(id_)
        if record is None or record.arn != arn:
            return None
        return execution.snapshot() if execution else record

    def of_pipeline(self, pipeline_arn: str) -> list[ExecutionRecord]:
        """Return the executions of a pipeline, oldest first."""
        with self._lock:
            return self._of(pipeline_arn)

    def _of(self, pipeline_arn: str) -> list[ExecutionRecord]:
        chosen = [record for record in self._records.values() if record.pipeline_arn == pipeline_arn]
        return [self._running[r.id].snapshot() if r.id in self._running else r for r in chosen]

    def stop(self, arn: str) -> None:
        """Ask an execution to stop; one that has ended stays as it is."""
        with self._lock:
            execution = self._running.get(arn.rsplit("/", 1)[-1])
        if execution:
            self._stop([execution])

    def close(self) -> None:
        """Stop every running execution and wait until their jobs are gone."""
        with self._lock:
            running = list(self._running.values())
        self._stop(reversed(running))  # those that wait first, so that none begins meanwhile
        for execution in running:
            execution.join()

    def _stop(self, executions: Iterable[Execution]) -> None:
        """Stop executions; one that waits for its turn has it now, and ends before its first step."""
        for execution in executions:
            execution.stop()
            with self._lock:
                if self._waiting.pop(execution.id, None):
                    execution.start()


def _new_record(pipeline_arn: str, definition: str, given: list[tuple[str, str]]) -> ExecutionRecord:
    id_ = "".join(secrets.choice(_ID_ALPHABET) for _ in range(12))
    now = time.time()
    return ExecutionRecord(
        id=id_,
        arn=f"{pipeline_arn}/execution/{id_}",
        pipeline_name=pipeline_arn.rsplit("/", 1)[-1],
        pipeline_arn=pipeline_arn,
        status="Executing",
        created=now,
        modified=now,
        definition=definition,
        parameters=[{"Name": name, "Value": value} for name, value in given],
        display_name=f"execution-{int(now * 1000)}",
        process=process_identity(),
    )


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
