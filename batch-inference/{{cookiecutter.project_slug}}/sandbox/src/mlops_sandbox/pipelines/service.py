"""The executions of a sandbox: starting, stopping and finding them."""

from __future__ import annotations

import secrets
import string
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from mlops_sandbox.pipelines.execution import Execution
from mlops_sandbox.pipelines.journal import (
    ExecutionRecord,
    Journal,
    mark_interrupted,
    process_identity,
)
from mlops_sandbox.pipelines.prepare import prepare
from mlops_sandbox.pipelines.world import World

_ID_ALPHABET = string.ascii_lowercase + string.digits


class Executions:
    """Every execution of one sandbox folder, those of earlier processes too."""

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
        self._running: dict[str, Execution] = {}
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
            for earlier in self.of_pipeline(pipeline_arn):
                if token and earlier.token == token:
                    return earlier
            record = _new_record(pipeline_arn, definition, list(given))
            record.display_name = display_name or record.display_name
            record.description, record.parallelism, record.token = description, parallelism, token
            return self._run(record)

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
            finished=self._finished,
            changed=self._changed,
        )
        with self._lock:
            self._records[record.id] = record
            self._running[record.id] = execution
        execution.start()
        return execution.snapshot()

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
            execution.stop()

    def close(self) -> None:
        """Stop every running execution and wait until their jobs are gone."""
        with self._lock:
            running = list(self._running.values())
        for execution in running:
            execution.stop()
        for execution in running:
            execution.join()


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
