"""Following an execution until it ends, with plain boto3 calls: in the sandbox and on AWS alike.

result = follow(boto3.client("sagemaker"), execution_arn)
sys.exit(result.status != "Succeeded")

The lines of its jobs are read from ``jobs/<name>/log.txt`` while they are written.
"""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

from botocore.exceptions import ClientError

from mlops_workbench.sandbox.table import Snapshot, View, make_view

FINAL = ("Succeeded", "Failed", "Stopped", "CompletedWithFailures")
#: Seconds between two looks: AWS throttles, this machine does not.
LOCAL_INTERVAL = 0.3
AWS_INTERVAL = 5.0
#: Lines of a failed job's log that are shown again at the end.
LAST_LINES = 20


@dataclass(frozen=True)
class FollowResult:
    """How an execution ended.

    Attributes:
        status: Succeeded, Failed, Stopped or CompletedWithFailures.
        failure_reason: of the execution, or "".
        steps: as ListPipelineExecutionSteps gives them, the first one first.
    """

    status: str
    failure_reason: str
    steps: list[dict[str, Any]]


def follow(
    client: Any,
    execution_arn: str,
    *,
    jobs_folder: Path | None = None,
    stop_on_interrupt: bool = True,
    view: View | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> FollowResult:
    """Show an execution's progress until it ends.

    Args:
        client: boto3's SageMaker client.
        execution_arn: of the execution.
        jobs_folder: the sandbox's ``jobs`` folder, to show the jobs' lines with the step's name before them;
            None on AWS, where they are in CloudWatch.
        stop_on_interrupt: on Ctrl-C stop the execution and go on until it has stopped; a second Ctrl-C is
            raised. If False, the first one is, and the execution goes on.
        view: where to show it; by default a live table on a terminal, lines elsewhere.
        sleep: waits between two looks.

    Returns:
        How it ended.

    Raises:
        KeyboardInterrupt: see ``stop_on_interrupt``.
        botocore.exceptions.ClientError: there is no such execution, or it cannot be read.
    """
    interval = LOCAL_INTERVAL if _is_local(client) else AWS_INTERVAL
    names = _step_names(client, execution_arn)
    lines = _JobLines(jobs_folder)
    interrupted = False
    with view or make_view() as shown:
        while True:
            try:
                snapshot = look(client, execution_arn, names)
                over = snapshot.status in FINAL
                shown.update(snapshot, list(lines.new(snapshot)))
                if over:
                    break
                sleep(interval)
            except KeyboardInterrupt:
                if interrupted or not stop_on_interrupt:
                    raise
                interrupted = True
                shown.notice("stopping the execution; press Ctrl-C again to end its jobs at once")
                _stop(client, execution_arn)
    for line in failure_lines(snapshot, jobs_folder):
        print(line, flush=True)
    return FollowResult(snapshot.status, snapshot.failure_reason, list(snapshot.steps))


def look(client: Any, execution_arn: str, names: list[str] | None = None) -> Snapshot:
    """Return an execution as it is now.

    Args:
        client: boto3's SageMaker client.
        execution_arn: of the execution.
        names: of all its steps, to tell which have not begun.
    """
    # The status first: when it is final, the steps read after it are final too.
    described = client.describe_pipeline_execution(PipelineExecutionArn=execution_arn)
    pages = client.get_paginator("list_pipeline_execution_steps").paginate(
        PipelineExecutionArn=execution_arn, SortOrder="Ascending"
    )
    steps = [step for page in pages for step in page["PipelineExecutionSteps"]]
    begun = {step["StepName"] for step in steps}
    return Snapshot(
        described["PipelineExecutionStatus"],
        described.get("FailureReason", ""),
        steps,
        [name for name in names or [] if name not in begun],
    )


def failure_lines(snapshot: Snapshot, jobs_folder: Path | None) -> Iterator[str]:
    """Yield what a person needs to see of an execution that did not succeed."""
    for step in snapshot.steps:
        if step.get("StepStatus") != "Failed":
            continue
        yield ""
        yield f"Step '{step['StepName']}' failed: {step.get('FailureReason', 'no reason given')}"
        path = log_file(jobs_folder, step) if jobs_folder else None
        if path:
            yield f"The end of its log, {path}:"
            yield from (f"  {line}" for line in last_lines(path, LAST_LINES))
    if snapshot.status != "Succeeded" and not any(s.get("StepStatus") == "Failed" for s in snapshot.steps):
        yield f"Execution {snapshot.status}" + (
            f": {snapshot.failure_reason}" if snapshot.failure_reason else ""
        )


class _JobLines:
    """The lines of the jobs' logs, step by step; a step that is retried has a new job, and so a new log."""

    def __init__(self, jobs_folder: Path | None) -> None:
        """Read logs below a folder, or none."""
        self._folder = jobs_folder
        self._tail = Tail()
        self._paths: dict[str, Path] = {}

    def new(self, snapshot: Snapshot) -> Iterator[tuple[str, str]]:
        """Yield (step, line) for what was written since the last time."""
        for step in snapshot.steps if self._folder else ():
            if step.get("CacheHitResult"):
                continue  # its metadata names the job of the earlier run
            name, path = step["StepName"], log_file(self._folder, step) if self._folder else None
            before = self._paths.get(name)
            if before and before != path:
                yield from ((name, line) for line in self._tail.new_lines(before, final=True))
            if path:
                self._paths[name] = path
                over = bool(step.get("EndTime"))
                yield from ((name, line) for line in self._tail.new_lines(path, final=over))


def _stop(client: Any, execution_arn: str) -> None:
    try:
        client.stop_pipeline_execution(PipelineExecutionArn=execution_arn)
    except ClientError as error:
        # It may have ended a moment ago; anything else is worth a traceback.
        if error.response.get("Error", {}).get("Code") != "ValidationException":
            raise


def _step_names(client: Any, execution_arn: str) -> list[str]:
    # Only used to show what is still to come: whoever may not read definitions can follow all the same.
    try:
        answer = client.describe_pipeline_definition_for_execution(PipelineExecutionArn=execution_arn)
        return list(_names(json.loads(answer["PipelineDefinition"]).get("Steps") or []))
    except (ClientError, ValueError, AttributeError, TypeError, KeyError):
        return []


def _names(steps: list[Mapping[str, Any]]) -> Iterator[str]:
    for step in steps:
        yield str(step["Name"])
        arguments = step.get("Arguments") or {}
        if step.get("Type") == "Condition":
            yield from _names(arguments.get("IfSteps") or [])
            yield from _names(arguments.get("ElseSteps") or [])


def _is_local(client: Any) -> bool:
    host = urlparse(client.meta.endpoint_url).hostname or ""
    return host in ("127.0.0.1", "::1") or host.endswith("localhost")


def job_name(step: Mapping[str, Any]) -> str:
    """Return the job of a step, as ListPipelineExecutionSteps describes the step, or "" if it has none."""
    for kind in ("ProcessingJob", "TrainingJob", "TransformJob"):
        arn = (step.get("Metadata") or {}).get(kind, {}).get("Arn", "")
        if arn:
            return str(arn).rsplit("/", 1)[-1]
    return ""


def log_file(jobs_folder: Path, step: Mapping[str, Any]) -> Path | None:
    """Return the log of a step's job, or None if it has no job or the job no log."""
    name = job_name(step)
    path = jobs_folder / name / "log.txt"
    return path if name and path.is_file() else None


def last_lines(path: Path, count: int = 20) -> list[str]:
    """Return the last lines of a log."""
    with path.open(encoding="utf-8", errors="replace") as lines:
        return [line.rstrip("\n") for line in deque(lines, count)]


class Tail:
    """Returns what was added to log files since the last time, in whole lines."""

    def __init__(self) -> None:
        """Start at the beginning of every file."""
        self._positions: dict[Path, int] = {}

    def new_lines(self, path: Path, *, final: bool = False) -> list[str]:
        """Return a file's new lines; with ``final`` also a last one that has no end yet."""
        with path.open("rb") as log:
            log.seek(self._positions.get(path, 0))
            block = log.read()
        if not final:
            # A line that is still being written, or half of a character, waits for the next time.
            block = block[: block.rfind(b"\n") + 1]
        self._positions[path] = self._positions.get(path, 0) + len(block)
        return block.decode("utf-8", errors="replace").splitlines()
