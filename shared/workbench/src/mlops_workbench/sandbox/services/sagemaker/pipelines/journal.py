"""The record of each execution: ``executions/<id>.json``, replaced as a whole at every change.

A reader sees either the state before a change or the state after it, also after ``kill -9``.
"""

from __future__ import annotations

import dataclasses
import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FORMAT = 1
#: Execution statuses in which steps may still run.
ACTIVE = ("Executing", "Stopping")
#: Step statuses in which a step is not done.
UNFINISHED = ("Starting", "Executing", "Stopping")


@dataclass
class StepRecord:
    """What is known of one step that has begun; times are seconds since the epoch.

    Attributes:
        status: Starting, Executing, Stopping, Stopped, Failed or Succeeded.
        attempts: how many times it was started; 0 for a cache hit.
        job: the name of the job or model of its last attempt; its log is ``jobs/<name>/log.txt``.
        metadata: its Metadata in ListPipelineExecutionSteps, e.g. ``{"TrainingJob": {"Arn": …}}``.
        properties: what other steps may refer to.
        cache_key: of its arguments; "" if the step's type is never cached.
        cache_source: ARN of the execution whose result it took; "" if it ran itself.
        outputs: S3 URIs that held objects when it succeeded.
        last_lines: of the failed job's log, oldest first.
    """

    name: str
    type: str
    display_name: str = ""
    description: str = ""
    status: str = "Starting"
    start: float = 0.0
    end: float | None = None
    failure_reason: str = ""
    attempts: int = 0
    job: str = ""
    metadata: dict[str, Any] = field(default_factory=dict)
    properties: dict[str, Any] = field(default_factory=dict)
    cache_key: str = ""
    cache_source: str = ""
    outputs: list[str] = field(default_factory=list)
    last_lines: list[str] = field(default_factory=list)


@dataclass
class ExecutionRecord:
    """What is known of one execution; times are seconds since the epoch.

    Attributes:
        id: 12 characters, the end of its ARN.
        parameters: as given, [{"Name": …, "Value": …}]; defaults are not repeated.
        definition: the pipeline's definition when it started, as text.
        process: pid and start of the process that runs it (``process_identity``).
    """

    id: str
    arn: str
    pipeline_name: str
    pipeline_arn: str
    status: str
    created: float
    modified: float
    definition: str
    parameters: list[dict[str, str]] = field(default_factory=list)
    display_name: str = ""
    description: str = ""
    failure_reason: str = ""
    parallelism: int | None = None
    token: str = ""
    process: list[int] = field(default_factory=list)
    steps: dict[str, StepRecord] = field(default_factory=dict)


class Journal:
    """The executions of one sandbox folder."""

    def __init__(self, folder: Path) -> None:
        """Name the folder; it is made when something is written."""
        self.folder = folder

    def save(self, record: ExecutionRecord) -> None:
        """Write an execution's record; its modification time becomes now."""
        record.modified = time.time()
        self.folder.mkdir(parents=True, exist_ok=True)
        document = {"format": FORMAT, **dataclasses.asdict(record)}
        target = self.folder / f"{record.id}.json"
        draft = target.with_suffix(".new")
        # default=str: a job's answer may hold datetimes, which nothing compares.
        draft.write_text(json.dumps(document, indent=1, default=str), "utf-8")
        os.replace(draft, target)

    def load(self) -> dict[str, ExecutionRecord]:
        """Return every execution by id, oldest first; a file that cannot be read is passed over."""
        records = [read for path in self.folder.glob("*.json") if (read := _read(path)) is not None]
        return {record.id: record for record in sorted(records, key=lambda record: record.created)}


def _read(path: Path) -> ExecutionRecord | None:
    try:
        document = json.loads(path.read_text("utf-8"))
        if document.pop("format") != FORMAT:
            return None
        document["steps"] = {name: StepRecord(**step) for name, step in document["steps"].items()}
        return ExecutionRecord(**document)
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


def mark_interrupted(record: ExecutionRecord) -> bool:
    """Close the record of an execution whose process is gone; returns whether it was one.

    Its unfinished steps and the execution itself become Failed, with "interrupted" as the reason.
    """
    if record.status not in ACTIVE or is_alive(record.process):
        return False
    pid = record.process[0] if record.process else "?"
    reason = f"interrupted: process {pid} ended before the execution did"
    for step in record.steps.values():
        if step.status in UNFINISHED:
            step.status, step.end, step.failure_reason = "Failed", record.modified, reason
    record.status, record.failure_reason = "Failed", reason
    return True


def process_identity(pid: int | None = None) -> list[int]:
    """Return a process's id and, where /proc tells it, its start in clock ticks since boot, else 0.

    Args:
        pid: of the process; this one's, where none is given.
    """
    pid = os.getpid() if pid is None else pid
    return [pid, _started(pid)]


def is_alive(identity: list[int]) -> bool:
    """Tell whether the process of ``process_identity`` runs; another one with the same id does not count."""
    if not identity:
        return False
    try:
        os.kill(identity[0], 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # it exists, under another user
    return _started(identity[0]) == identity[1]


def _started(pid: int) -> int:
    try:
        # Field 22 of proc(5)'s stat; the command, field 2, may itself hold blanks and parentheses.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return int(fields[19])
    except (OSError, IndexError, ValueError):
        return 0


def summary(record: ExecutionRecord) -> Mapping[str, int]:
    """Return how many steps are in each status."""
    counts: dict[str, int] = {}
    for step in record.steps.values():
        counts[step.status] = counts.get(step.status, 0) + 1
    return counts
