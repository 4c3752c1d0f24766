"""The records of processing, training and transform jobs, and which of them run.

moto calls every job Completed at once and answers with invented metrics. Here a job is a record that
whoever runs it keeps up to date.
"""

from __future__ import annotations

import threading
from typing import Any

from moto.sagemaker.exceptions import ResourceInUseException
from moto.sagemaker.models import sagemaker_backends

from mlops_workbench.sandbox.aws.sagemaker.kinds import KINDS, JobKind, Kind
from mlops_workbench.sandbox.aws.sagemaker.records import Record, arn, now
from mlops_workbench.sandbox.gate import STATE
from mlops_workbench.sandbox.session import current

FINAL = ("Completed", "Failed", "Stopped")


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
