"""Create, Describe, List and Stop of processing, training and transform jobs.

moto calls every job Completed at once and answers with invented metrics. Here a job is a record that
whoever runs it keeps up to date, and Create*Job really runs it, in a thread.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

from moto.core.responses import ActionResult, EmptyResult
from moto.sagemaker.exceptions import ResourceInUseException, ValidationError
from moto.sagemaker.models import sagemaker_backends
from moto.sagemaker.responses import SageMakerResponse

from mlops_workbench.sandbox.access import AccessDenied, acting
from mlops_workbench.sandbox.aws.listing import page
from mlops_workbench.sandbox.aws.sagemaker.kinds import KINDS, JobKind, Kind
from mlops_workbench.sandbox.aws.sagemaker.records import Record, arn, now
from mlops_workbench.sandbox.aws.sagemaker.requests import checked
from mlops_workbench.sandbox.gate import STATE
from mlops_workbench.sandbox.jobs import transform_rules

#: What ends each running job, by the ARN of the job.
_running: dict[str, threading.Event] = {}
_threads: set[threading.Thread] = set()
#: Runs a job to its end: (kind, request, account, region, stop). Set by ``start_with``.
Runner = Callable[[Kind, dict[str, Any], str, str, threading.Event], None]
_runner: Runner | None = None

FINAL = ("Completed", "Failed", "Stopped")


def start_with(runner: Runner | None) -> None:
    """Say what runs the jobs that Create*Job asks for."""
    global _runner
    _runner = runner


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
    with STATE.changing():
        jobs = _jobs(names, account, region)
        if name in jobs and job_arn not in _waiting:
            raise ResourceInUseException(
                f"Job name must be unique within an AWS account and region: {job_arn}"
            )
        _waiting.discard(job_arn)
        jobs[name] = record
        _running[job_arn] = stop
    return record


def close_job(record: Record) -> None:
    """Say that a job has ended, so that it can no longer be stopped."""
    _running.pop(record.arn, None)


def stop_all() -> None:
    """Stop every job that runs and wait for its end."""
    for stop in list(_running.values()):
        stop.set()
    for thread in list(_threads):
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


#: Jobs that Create*Job has recorded and whose thread has not begun.
_waiting: set[str] = set()


def _jobs(names: JobKind, account: str, region: str) -> dict[str, Record]:
    jobs: dict[str, Record] = getattr(sagemaker_backends[account][region], names.attribute)
    return jobs


def _find(response: SageMakerResponse, names: JobKind) -> Record:
    name = response._get_param(names.name)
    record = _jobs(names, response.current_account, response.region).get(name)
    if record is None:
        # Not the ResourceNotFound that the service's model lists: ValidationException is what it answers.
        raise ValidationError(f"Could not find requested job with name: {name}")
    return record


def _transform_request(params: Mapping[str, Any]) -> dict[str, Any]:
    """Return a request that the service would take.

    Raises:
        ValidationError: with every problem.
    """
    request = checked("CreateTransformJob", params)
    if problems := transform_rules.problems(request):
        raise ValidationError("; ".join(problems))
    return request


def _calls(kind: Kind) -> Mapping[str, Callable[[SageMakerResponse], ActionResult]]:
    names = KINDS[kind]

    def create(self: SageMakerResponse) -> ActionResult:
        request = _transform_request(self.params) if kind == "transform" else dict(self.params)
        account, region, stop = self.current_account, self.region, threading.Event()
        if _runner is None:
            raise ValidationError("no sandbox is open in this process, so that nothing can run the job")
        runner = _runner
        job_arn = arn(account, region, names.arn_type, request[names.name])
        try:
            acting.job_environment(account, region, request, job_arn)
        except AccessDenied as denied:
            raise ValidationError(str(denied)) from None
        # The name is taken before this call answers; the thread then opens the job itself.
        record = open_job(kind, request, request[names.name], account, region, stop)
        _waiting.add(record.arn)

        def run() -> None:
            try:
                runner(kind, request, account, region, stop)
            finally:
                _threads.discard(threading.current_thread())

        thread = threading.Thread(target=run, name=record.arn, daemon=True)
        _threads.add(thread)
        thread.start()
        return ActionResult({names.arn: record.arn})

    def describe(self: SageMakerResponse) -> ActionResult:
        return ActionResult(_find(self, names).description)

    def list_(self: SageMakerResponse) -> ActionResult:
        records = _jobs(names, self.current_account, self.region).values()
        items, token = page(
            [record.description for record in records],
            self.params,
            name=names.name,
            status=names.status,
            order=names.order,
        )
        summaries = [{key: item[key] for key in names.summary if key in item} for item in items]
        return ActionResult({f"{names.noun}Summaries": summaries, "NextToken": token})

    def stop(self: SageMakerResponse) -> ActionResult:
        record = _find(self, names)
        status = record.description[names.status]
        if status in FINAL:
            raise ValidationError(f"The request was rejected because the job is in status {status}.")
        record.update(**{names.status: "Stopping", "LastModifiedTime": now()})
        if event := _running.get(record.arn):
            event.set()
        return EmptyResult()

    calls = {"create": create, "describe": describe, "stop": stop}
    return {f"{verb}_{kind}_job": call for verb, call in calls.items()} | {f"list_{kind}_jobs": list_}


def install() -> None:
    """Replace moto's calls."""
    for kind in KINDS:
        for name, call in _calls(kind).items():
            setattr(SageMakerResponse, name, call)
