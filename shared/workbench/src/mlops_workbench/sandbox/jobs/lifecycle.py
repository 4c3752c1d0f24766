"""From Create to the end: the record of a job, its folder and its log, the same for every kind."""

from __future__ import annotations

import shutil
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from moto.sagemaker.exceptions import ResourceInUseException

from mlops_workbench.sandbox.aws.sagemaker import jobs as registry
from mlops_workbench.sandbox.aws.sagemaker.kinds import KINDS, JobKind, Kind
from mlops_workbench.sandbox.aws.sagemaker.records import Record, now
from mlops_workbench.sandbox.errors import JobFailed, JobStopped
from mlops_workbench.sandbox.jobs.context import JobContext
from mlops_workbench.sandbox.jobs.log import JobLog

_LONGEST_REASON = 1024  # characters: the shape FailureReason


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
        record = registry.open_job(kind, request, context.name, context.account, context.region, context.stop)
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
        registry.close_job(record)


def _deadline(request: dict[str, Any]) -> float | None:
    seconds = (request.get("StoppingCondition") or {}).get("MaxRuntimeInSeconds")
    return None if seconds is None else time.monotonic() + seconds


def _close(job: Job, status: str, reason: str | None = None) -> None:
    """Set the final status, unless the body has set one itself (a time-out that stops a training job)."""
    names, moment = job.names, now()
    if job.record.description[names.status] in registry.FINAL:
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
