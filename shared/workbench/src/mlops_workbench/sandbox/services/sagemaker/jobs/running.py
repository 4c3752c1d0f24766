"""A job from Create to the end, the same for every kind: its record, its folder and its log.

moto calls every job Completed at once and answers with invented metrics. Here a job is a record that
whoever runs it keeps up to date.
"""

from __future__ import annotations

import shutil
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from moto.sagemaker.exceptions import ResourceInUseException
from moto.sagemaker.models import sagemaker_backends

from mlops_workbench.sandbox.containers.context import JobContext, JobLog
from mlops_workbench.sandbox.errors import JobFailed, JobStopped
from mlops_workbench.sandbox.gate import STATE
from mlops_workbench.sandbox.services.sagemaker.records import Record, arn, now
from mlops_workbench.sandbox.session import current

Kind = Literal["processing", "training", "transform"]
FINAL = ("Completed", "Failed", "Stopped")
_LONGEST_REASON = 1024  # characters: the shape FailureReason


@dataclass(frozen=True)
class JobKind:
    """One kind of job.

    Attributes:
        noun: as calls and keys carry it, e.g. ``ProcessingJob``.
        arn_type: e.g. ``processing-job``.
        attribute: moto's dictionary of these jobs on its backend.
        start, end: the keys of the times in a description.
        order: List*'s default SortOrder, from the API reference.
        summary: the keys of a list's entries.
    """

    noun: str
    arn_type: str
    attribute: str
    start: str
    end: str
    order: str
    summary: tuple[str, ...]

    @property
    def name(self) -> str:
        """Return the key of the job's name."""
        return f"{self.noun}Name"

    @property
    def arn(self) -> str:
        """Return the key of the job's ARN."""
        return f"{self.noun}Arn"

    @property
    def status(self) -> str:
        """Return the key of the job's status."""
        return f"{self.noun}Status"


def _kind(word: str, order: str, *more: str) -> JobKind:
    noun = f"{word.title()}Job"
    end = f"{word.title()}EndTime"
    common = (f"{noun}Name", f"{noun}Arn", f"{noun}Status", "CreationTime", end, "LastModifiedTime")
    return JobKind(
        noun, f"{word}-job", f"{word}_jobs", f"{word.title()}StartTime", end, order, (*common, *more)
    )


KINDS: dict[Kind, JobKind] = {
    "processing": _kind("processing", "Ascending", "FailureReason", "ExitMessage"),
    "training": _kind("training", "Ascending", "SecondaryStatus"),
    "transform": _kind("transform", "Descending", "FailureReason"),
}


class Running:
    """The jobs that run in an open sandbox.

    Attributes:
        stops: what ends each of them, by the ARN of the job.
        threads: of those that a Create*Job call has started.
        waiting: the ARNs of those that are recorded and whose thread has not begun.
    """

    def __init__(self) -> None:
        self.stops: dict[str, threading.Event] = {}
        self.threads: set[threading.Thread] = set()
        self.waiting: set[str] = set()


def open_job(
    kind: Kind, request: dict[str, Any], name: str, account: str, region: str, stop: threading.Event
) -> Record:
    """Record a job that starts now.

    Raises:
        ResourceInUseException: there is a job of this name.
    """
    names = KINDS[kind]
    job_arn = arn(account, region, names.arn_type, name)
    moment = now()
    described = {key: value for key, value in request.items() if key != "Tags"}
    described |= {names.name: name, names.arn: job_arn, names.status: "InProgress"}
    described |= {"CreationTime": moment, "LastModifiedTime": moment}
    record = Record(job_arn, described, list(request.get("Tags") or []))
    running = current().part(Running)
    with STATE.changing():
        jobs = jobs_of(names, account, region)
        if name in jobs and job_arn not in running.waiting:
            raise ResourceInUseException(
                f"Job name must be unique within an AWS account and region: {job_arn}"
            )
        running.waiting.discard(job_arn)
        jobs[name] = record
        running.stops[job_arn] = stop
    return record


def close_job(record: Record) -> None:
    """Say that a job has ended, so that it can no longer be stopped."""
    current().part(Running).stops.pop(record.arn, None)


def stop_all() -> None:
    """Stop every job that runs and wait for its end."""
    running = current().part(Running)
    for stop in list(running.stops.values()):
        stop.set()
    for thread in list(running.threads):
        thread.join()


def fail_interrupted() -> None:
    """Mark the jobs as failed that a process left behind when it was killed."""
    reason = "InternalServerError: the sandbox's process ended before the job did"
    for _, _, backend in sagemaker_backends.iter_backends():
        for names in KINDS.values():
            for record in getattr(backend, names.attribute).values():
                if record.description[names.status] not in FINAL:
                    moment = now()
                    times = {names.end: moment, "LastModifiedTime": moment}
                    record.update(**{names.status: "Failed", "FailureReason": reason, **times})
                    if names.noun == "TrainingJob":
                        record.update(SecondaryStatus="Failed")


def jobs_of(names: JobKind, account: str, region: str) -> dict[str, Record]:
    """Return moto's dictionary of the jobs of a kind, by name."""
    jobs: dict[str, Record] = getattr(sagemaker_backends[account][region], names.attribute)
    return jobs


@dataclass
class Job:
    """A job that is running."""

    names: JobKind
    request: dict[str, Any]
    context: JobContext
    record: Record
    log: JobLog
    deadline: float | None

    @property
    def folder(self) -> Path:
        """Return the job's folder."""
        return self.context.folder

    @property
    def description(self) -> dict[str, Any]:
        """Return what Describe answers at this moment."""
        return dict(self.record.description)

    def check_stop(self) -> None:
        """Raise JobStopped when the job has been asked to end: called between its phases."""
        if self.context.stop.is_set():
            raise JobStopped(f"{self.context.name} was stopped")

    def phase(self, status: str, message: str) -> None:
        """Note what a training job is doing; the other kinds have no secondary status."""
        if self.names.noun != "TrainingJob":
            return
        moment = now()
        transitions = [dict(entry) for entry in self.record.description.get("SecondaryStatusTransitions", [])]
        if transitions:
            transitions[-1].setdefault("EndTime", moment)
        transitions.append({"Status": status, "StartTime": moment, "StatusMessage": message})
        self.record.update(
            SecondaryStatus=status, SecondaryStatusTransitions=transitions, LastModifiedTime=moment
        )


@contextmanager
def running(kind: Kind, request: dict[str, Any], context: JobContext, **described: Any) -> Iterator[Job]:
    """Record a job, run the body, and record how it ended.

    Args:
        kind: processing, training or transform.
        request: of Create*Job.
        context: of the job.
        described: what Describe shows beyond the request from the beginning.

    Raises:
        JobFailed: from the body; or for a fault of the sandbox, with its traceback in the log.
        JobStopped: from the body.
    """
    names = KINDS[kind]
    try:
        record = open_job(kind, request, context.name, context.account, context.region, context.stop)
    except ResourceInUseException as error:
        raise JobFailed(f"ClientError: {error.message}") from None
    context.folder.mkdir(parents=True, exist_ok=True)
    for leftover in context.folder.glob("algo-*"):
        # A job of the same name may have run here before its sandbox's state was lost.
        shutil.rmtree(leftover, ignore_errors=True)
    record.update(**{names.start: now()}, **described)
    log = JobLog(context.folder / "log.txt", context.name, context.log)
    job = Job(names, request, context, record, log, _deadline(request))
    try:
        job.phase("Starting", "Preparing the instances")
        job.check_stop()
        yield job
        _close(job, "Completed")
    except JobStopped:
        _close(job, "Stopped")
        raise
    except JobFailed as error:
        error.last_lines = error.last_lines or log.last_lines()
        _close(job, "Failed", error.reason)
        raise
    except Exception as error:
        reason = f"InternalServerError: the sandbox failed: {type(error).__name__}: {error}"
        for line in traceback.format_exc().splitlines():
            log.line(line)
        _close(job, "Failed", reason)
        raise JobFailed(reason, last_lines=log.last_lines()) from error
    except BaseException:
        _close(job, "Stopped")
        raise
    finally:
        log.close()
        close_job(record)


def _deadline(request: dict[str, Any]) -> float | None:
    seconds = (request.get("StoppingCondition") or {}).get("MaxRuntimeInSeconds")
    return None if seconds is None else time.monotonic() + seconds


def _close(job: Job, status: str, reason: str | None = None) -> None:
    """Set the final status, unless the body has set one itself (a time-out that stops a training job)."""
    names, moment = job.names, now()
    if job.record.description[names.status] in FINAL:
        status = job.record.description[names.status]
    changes: dict[str, Any] = {names.status: status, names.end: moment, "LastModifiedTime": moment}
    if reason and status == "Failed":
        changes["FailureReason"] = reason[:_LONGEST_REASON]
    if names.noun == "TrainingJob":
        secondary = job.record.description.get("SecondaryStatus")
        if secondary not in ("MaxRuntimeExceeded",):
            job.phase(status, reason or {"Completed": "Training job completed"}.get(status, status))
        transitions = [dict(entry) for entry in job.record.description["SecondaryStatusTransitions"]]
        transitions[-1].setdefault("EndTime", moment)
        seconds = int((moment - job.record.description[names.start]).total_seconds())
        changes |= {
            "SecondaryStatusTransitions": transitions,
            "TrainingTimeInSeconds": seconds,
            "BillableTimeInSeconds": seconds,
        }
    job.record.update(**changes)
