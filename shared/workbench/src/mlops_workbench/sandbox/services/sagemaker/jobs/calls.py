"""Create*Job, Describe*Job, List*Jobs and Stop*Job: the job really runs, in a thread."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Mapping
from typing import Any

from moto.core.responses import ActionResult, EmptyResult
from moto.sagemaker.exceptions import ValidationError
from moto.sagemaker.responses import SageMakerResponse

from mlops_workbench.sandbox.containers.context import JobContext
from mlops_workbench.sandbox.errors import AccessDenied, JobFailed, JobStopped
from mlops_workbench.sandbox.iam import acting
from mlops_workbench.sandbox.services.sagemaker.jobs import transform_rules
from mlops_workbench.sandbox.services.sagemaker.jobs.processing import run_processing
from mlops_workbench.sandbox.services.sagemaker.jobs.running import (
    FINAL,
    KINDS,
    JobKind,
    Kind,
    Running,
    jobs_of,
    open_job,
)
from mlops_workbench.sandbox.services.sagemaker.jobs.training import run_training
from mlops_workbench.sandbox.services.sagemaker.jobs.transform import run_transform
from mlops_workbench.sandbox.services.sagemaker.records import Record, arn, checked, now, page
from mlops_workbench.sandbox.session import current


def _find(response: SageMakerResponse, names: JobKind) -> Record:
    name = response._get_param(names.name)
    record = jobs_of(names, response.current_account, response.region).get(name)
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
        job_arn = arn(account, region, names.arn_type, request[names.name])
        try:
            acting.job_environment(account, region, request, job_arn)
        except AccessDenied as denied:
            raise ValidationError(str(denied)) from None
        # The name is taken before this call answers; the thread then opens the job itself.
        record = open_job(kind, request, request[names.name], account, region, stop)
        running = current().part(Running)
        running.waiting.add(record.arn)

        def run() -> None:
            try:
                _run(kind, request, account, region, stop)
            finally:
                running.threads.discard(threading.current_thread())

        thread = threading.Thread(target=run, name=record.arn, daemon=True)
        running.threads.add(thread)
        thread.start()
        return ActionResult({names.arn: record.arn})

    def describe(self: SageMakerResponse) -> ActionResult:
        return ActionResult(_find(self, names).description)

    def list_(self: SageMakerResponse) -> ActionResult:
        records = jobs_of(names, self.current_account, self.region).values()
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
        if event := current().part(Running).stops.get(record.arn):
            event.set()
        return EmptyResult()

    calls = {"create": create, "describe": describe, "stop": stop}
    return {f"{verb}_{kind}_job": call for verb, call in calls.items()} | {f"list_{kind}_jobs": list_}


def _run(kind: Kind, request: dict[str, Any], account: str, region: str, stop: threading.Event) -> None:
    """Run a job to its end; how it ended is in its record."""
    names, session = KINDS[kind], current()
    name = request[names.name]
    folder = name if account == session.accounts[0] else f"{name}@{account}"
    environment = acting.job_environment(account, region, request, arn(account, region, names.arn_type, name))
    context = JobContext(
        name, account, region, session.folder / "jobs" / folder, session.images, environment, stop=stop
    )
    with contextlib.suppress(JobFailed, JobStopped):
        _RUN[kind](request, context)


_RUN = {"processing": run_processing, "training": run_training, "transform": run_transform}


def install() -> None:
    """Replace moto's calls."""
    for kind in KINDS:
        for name, call in _calls(kind).items():
            setattr(SageMakerResponse, name, call)
