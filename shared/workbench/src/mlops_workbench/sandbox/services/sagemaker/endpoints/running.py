"""Creating, updating and deleting an endpoint, each in a thread, from one status to the next.

[read] API reference of DescribeEndpoint: Creating, then InService or Failed; a failed endpoint can only be
deleted. An update starts the new instances before it moves the traffic and ends the old ones ("there is no
availability loss"); when they do not become ready, the traffic stays where it is and the endpoint is
InService again, with a FailureReason.
"""

from __future__ import annotations

import shutil
import uuid
from dataclasses import replace
from typing import Any

from moto.sagemaker.models import sagemaker_backends

from mlops_workbench.sandbox.errors import SandboxError
from mlops_workbench.sandbox.gate import STATE
from mlops_workbench.sandbox.services.sagemaker.endpoints.fleet import Fleet
from mlops_workbench.sandbox.services.sagemaker.endpoints.instance import StartFailed
from mlops_workbench.sandbox.services.sagemaker.endpoints.records import (
    Deployment,
    Endpoint,
    endpoint_changed,
    idle_seconds,
    workers,
)
from mlops_workbench.sandbox.services.sagemaker.records import now
from mlops_workbench.sandbox.session import Session, current

_LONGEST_REASON = 1024  # characters: the shape FailureReason


def new_id() -> str:
    """Return the id of a deployment."""
    return uuid.uuid4().hex[:12]


def begin(endpoint: Endpoint) -> None:
    """Carry on with an endpoint that is Creating, Updating or Deleting."""
    works = {"Creating": _roll_out, "Updating": _roll_out, "Deleting": _delete}
    if work := works.get(endpoint.status):
        current().part(Fleet).begin(endpoint.arn, lambda: work(endpoint))


def start() -> None:
    """Carry on with everything that a closed sandbox, or one that was killed, was doing.

    Raises:
        SandboxError: a variable of the environment that sets limits cannot be read.
    """
    try:
        workers(), idle_seconds()
    except ValueError as error:
        raise SandboxError(str(error)) from None
    fleet = current().part(Fleet)
    found: list[Endpoint] = []
    for _, _, backend in sagemaker_backends.iter_backends():
        by_name: dict[str, Any] = vars(backend)["endpoints"]
        found += [each for each in by_name.values() if isinstance(each, Endpoint)]
    _tidy(found)
    for endpoint in found:
        if endpoint.current and endpoint.current.provisioned:
            # What is provisioned is there before the first request.
            fleet.serving(endpoint)
        begin(endpoint)


def stop(session: Session) -> None:
    """End every instance; what was being created or updated goes on when the sandbox is opened again."""
    if fleet := session.made(Fleet):
        fleet.stop()


def summaries(deployment: Deployment) -> list[dict[str, Any]]:
    """Return ProductionVariants of DescribeEndpoint for what serves."""
    config = serverless_config(deployment)
    moment = now()
    image = deployment.container.image
    return [
        {
            "VariantName": deployment.variant,
            "DeployedImages": [{"SpecifiedImage": image, "ResolvedImage": image, "ResolutionTime": moment}],
            "CurrentWeight": 1.0,
            "DesiredWeight": 1.0,
            # A serverless variant has no instances of its account's to count.
            "CurrentInstanceCount": 0,
            "CurrentServerlessConfig": config,
            "DesiredServerlessConfig": config,
        }
    ]


def serverless_config(deployment: Deployment) -> dict[str, int]:
    """Return the variant's ServerlessConfig."""
    config = {"MemorySizeInMB": deployment.memory_mb, "MaxConcurrency": deployment.max_concurrency}
    if deployment.provisioned:
        config["ProvisionedConcurrency"] = deployment.provisioned
    return config


def _roll_out(endpoint: Endpoint) -> None:
    wanted = endpoint.pending
    assert wanted is not None
    fleet = current().part(Fleet)
    before = fleet.serving(endpoint)
    if before and wanted.id == before.deployment.id:
        _resize(endpoint, wanted)
        return
    serving = fleet.new(endpoint, wanted)
    try:
        serving.pool.fill(max(1, wanted.minimum))
    except StartFailed as error:
        serving.pool.end()
        _remove_files(endpoint, wanted)
        _failed(endpoint, str(error))
        return
    except BaseException:
        serving.pool.end()
        raise
    if before is None or not before.pool.workers:
        # As on AWS the first request after that starts an instance, unless concurrency is provisioned.
        serving.pool.rest(0.0)
    replaced = fleet.switch(serving)
    old = endpoint.current
    with STATE.changing():
        endpoint.current = wanted
    if replaced:
        fleet.drain(replaced)
    if old and old.id != wanted.id:
        _remove_files(endpoint, old)
    _in_service(endpoint, wanted)


def _resize(endpoint: Endpoint, wanted: Deployment) -> None:
    """Change the concurrency of what serves: UpdateEndpointWeightsAndCapacities."""
    fleet = current().part(Fleet)
    before = fleet.serving(endpoint)
    assert before is not None
    before.pool.resize(limit=wanted.max_concurrency, cap=wanted.cap, minimum=wanted.minimum)
    try:
        before.pool.fill()
    except StartFailed as error:
        old = before.deployment
        before.pool.resize(limit=old.max_concurrency, cap=old.cap, minimum=old.minimum)
        _failed(endpoint, str(error))
        return
    fleet.switch(replace(before, deployment=wanted))
    with STATE.changing():
        endpoint.current = wanted
    _in_service(endpoint, wanted)


def _in_service(endpoint: Endpoint, deployment: Deployment) -> None:
    with STATE.changing():
        endpoint.pending = None
        kept = _without(endpoint, "FailureReason", "PendingDeploymentSummary")
        endpoint.description = {
            **kept,
            "EndpointStatus": "InService",
            "EndpointConfigName": deployment.config,
            "ProductionVariants": summaries(deployment),
            "LastModifiedTime": now(),
        }
        endpoint_changed(endpoint)


def _failed(endpoint: Endpoint, reason: str) -> None:
    with STATE.changing():
        endpoint.pending = None
        kept = _without(endpoint, "PendingDeploymentSummary")
        status = "InService" if endpoint.current else "Failed"
        if endpoint.current:
            kept["ProductionVariants"] = summaries(endpoint.current)
        times = {"LastModifiedTime": now()}
        endpoint.description = {
            **kept, "EndpointStatus": status, "FailureReason": reason[:_LONGEST_REASON], **times
        }  # fmt: skip
        endpoint_changed(endpoint)


def _delete(endpoint: Endpoint) -> None:
    fleet = current().part(Fleet)
    if before := fleet.remove(endpoint):
        fleet.drain(before)
    for deployment in (endpoint.current, endpoint.pending):
        if deployment:
            _remove_files(endpoint, deployment)
    with STATE.changing():
        found: dict[str, Any] = vars(sagemaker_backends[endpoint.account][endpoint.region])["endpoints"]
        if found.get(endpoint.name) is endpoint:
            del found[endpoint.name]


def _tidy(found: list[Endpoint]) -> None:
    """Remove what a killed process has left: files of its instances, and of deployments nobody knows."""
    known = {each.id for endpoint in found for each in (endpoint.current, endpoint.pending) if each}
    for folder in (current().folder / "endpoints").glob("*/*/*/deployments/*"):
        for leftover in [folder] if folder.name not in known else folder.iterdir():
            if leftover.name != "model" or leftover is folder:
                shutil.rmtree(leftover, ignore_errors=True)


def _without(endpoint: Endpoint, *keys: str) -> dict[str, Any]:
    return {key: value for key, value in endpoint.description.items() if key not in keys}


def _remove_files(endpoint: Endpoint, deployment: Deployment) -> None:
    folder = endpoint.folder(current().folder) / "deployments" / deployment.id
    shutil.rmtree(folder, ignore_errors=True)
