"""Endpoints: their calls and their descriptions; ``mlops_workbench.sandbox.endpoints`` runs what is behind them.

moto calls every endpoint InService at once, cannot update one, and describes what was not given.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from moto.core.responses import ActionResult, EmptyResult
from moto.sagemaker.exceptions import ValidationError
from moto.sagemaker.models import SageMakerModelBackend
from moto.sagemaker.responses import SageMakerResponse

from mlops_workbench.sandbox.aws.sagemaker.endpoint_configs import check_concurrency, find_config
from mlops_workbench.sandbox.aws.sagemaker.listing import page
from mlops_workbench.sandbox.aws.sagemaker.models import models_of
from mlops_workbench.sandbox.aws.sagemaker.records import arn, now
from mlops_workbench.sandbox.aws.sagemaker.requests import checked
from mlops_workbench.sandbox.endpoints import changes
from mlops_workbench.sandbox.endpoints.deployment import Deployment, Endpoint, endpoint_changed

#: Of two calls that would change one endpoint at a time, the second is to find it in progress.
_changing = threading.Lock()
_SUMMARY = ("EndpointName", "EndpointArn", "CreationTime", "LastModifiedTime", "EndpointStatus")


def endpoints_of(backend: SageMakerModelBackend) -> dict[str, Endpoint]:
    """Return moto's dictionary of endpoints, by name."""
    endpoints: dict[str, Any] = backend.endpoints
    return endpoints


def _one_at_a_time(
    call: Callable[[SageMakerResponse], ActionResult],
) -> Callable[[SageMakerResponse], ActionResult]:
    @functools.wraps(call)
    def locked(self: SageMakerResponse) -> ActionResult:
        with _changing:
            return call(self)

    return locked


@_one_at_a_time
def create_endpoint(self: SageMakerResponse) -> ActionResult:
    """Make an endpoint; it is Creating when this answers."""
    request = checked("CreateEndpoint", self.params)
    name, endpoints = request["EndpointName"], endpoints_of(self.sagemaker_backend)
    endpoint_arn = arn(self.current_account, self.region, "endpoint", name)
    if name in endpoints:
        raise ValidationError(f'Cannot create already existing endpoint "{endpoint_arn}".')
    _refuse_deployment_config(request)
    deployment = _deployment(self, request["EndpointConfigName"])
    moment = now()
    described = {
        "EndpointName": name,
        "EndpointArn": endpoint_arn,
        "EndpointConfigName": deployment.config,
        "EndpointStatus": "Creating",
        "CreationTime": moment,
        "LastModifiedTime": moment,
    }
    tags = list(request.get("Tags") or [])
    endpoint = Endpoint(endpoint_arn, described, tags, current=None, pending=deployment)
    endpoints[name] = endpoint
    endpoint_changed(endpoint)
    changes.begin(endpoint)
    return ActionResult({"EndpointArn": endpoint_arn})


@_one_at_a_time
def update_endpoint(self: SageMakerResponse) -> ActionResult:
    """Move an endpoint to another configuration; it is Updating when this answers."""
    request = checked("UpdateEndpoint", self.params)
    endpoint = _find(self, request["EndpointName"])
    _refuse_deployment_config(request)
    _check_changeable(endpoint)
    name = request["EndpointConfigName"]
    if endpoint.current and name == endpoint.current.config:
        raise ValidationError("Cannot update endpoint with the currently in use endpoint configuration.")
    deployment = _deployment(self, name)
    pending = {
        "EndpointConfigName": name,
        "ProductionVariants": changes.summaries(deployment),
        "StartTime": now(),
    }
    _update(endpoint, deployment, PendingDeploymentSummary=pending)
    return ActionResult({"EndpointArn": endpoint.arn})


@_one_at_a_time
def update_endpoint_weights_and_capacities(self: SageMakerResponse) -> ActionResult:
    """Change a serverless variant's concurrency."""
    request = checked("UpdateEndpointWeightsAndCapacities", self.params)
    endpoint = _find(self, request["EndpointName"])
    _check_changeable(endpoint)
    assert endpoint.current is not None
    current = endpoint.current
    wanted = current
    for change in request["DesiredWeightsAndCapacities"]:
        if change["VariantName"] != current.variant:
            raise ValidationError(
                f'The variant name(s) "{change["VariantName"]}" is/are not present within endpoint '
                f'configuration "{current.config}".'
            )
        if change.get("DesiredInstanceCount") is not None:
            raise ValidationError("DesiredInstanceCount is not supported for serverless production variants.")
        config = change.get("ServerlessUpdateConfig") or {}
        maximum = config.get("MaxConcurrency") or wanted.max_concurrency
        provisioned = config.get("ProvisionedConcurrency") or wanted.provisioned
        check_concurrency(maximum, provisioned)
        wanted = replace(wanted, max_concurrency=maximum, provisioned=provisioned)
    variants = changes.summaries(current)
    variants[0]["DesiredServerlessConfig"] = changes.serverless_config(wanted)
    _update(endpoint, wanted, ProductionVariants=variants)
    return ActionResult({"EndpointArn": endpoint.arn})


def describe_endpoint(self: SageMakerResponse) -> ActionResult:
    """Return all of an endpoint."""
    return ActionResult(_find(self, self._get_param("EndpointName")).description)


def list_endpoints(self: SageMakerResponse) -> ActionResult:
    """List endpoints, the newest first unless asked otherwise."""
    items = [endpoint.description for endpoint in endpoints_of(self.sagemaker_backend).values()]
    chosen, token = page(items, self.params, name="EndpointName", status="EndpointStatus", order="Descending")
    summaries = [{key: item[key] for key in _SUMMARY} for item in chosen]
    return ActionResult({"Endpoints": summaries, "NextToken": token})


@_one_at_a_time
def delete_endpoint(self: SageMakerResponse) -> ActionResult:
    """Take an endpoint out of service; it is Deleting until it has answered what it has."""
    endpoint = _find(self, self._get_param("EndpointName"))
    _check_idle(endpoint)
    endpoint.update(EndpointStatus="Deleting", LastModifiedTime=now())
    endpoint_changed(endpoint)
    changes.begin(endpoint)
    return EmptyResult()


def _find(response: SageMakerResponse, name: str) -> Endpoint:
    endpoint = endpoints_of(response.sagemaker_backend).get(name)
    if endpoint is None:
        endpoint_arn = arn(response.current_account, response.region, "endpoint", name)
        raise ValidationError(f'Could not find endpoint "{endpoint_arn}".')
    return endpoint


def _check_idle(endpoint: Endpoint) -> None:
    if endpoint.status in ("Creating", "Updating", "Deleting"):
        raise ValidationError(f'Cannot update in-progress endpoint "{endpoint.arn}".')


def _check_changeable(endpoint: Endpoint) -> None:
    _check_idle(endpoint)
    if endpoint.status != "InService":
        # [read] API reference of DescribeEndpoint, EndpointStatus.
        raise ValidationError(
            f'Cannot update endpoint "{endpoint.arn}" in status {endpoint.status}; DeleteEndpoint is the '
            "only operation that can be performed on it."
        )


def _refuse_deployment_config(request: dict[str, Any]) -> None:
    if request.get("DeploymentConfig"):
        raise ValidationError(
            "DeploymentConfig: the sandbox moves all traffic at once; leave it out for serverless variants"
        )


def _deployment(response: SageMakerResponse, config_name: str) -> Deployment:
    config = find_config(response, config_name)
    (variant,) = config.description["ProductionVariants"]
    model = models_of(response.sagemaker_backend).get(variant["ModelName"])
    if model is None or model.container is None:
        model_arn = arn(response.current_account, response.region, "model", variant["ModelName"])
        raise ValidationError(f'Could not find model "{model_arn}".')
    serverless = variant["ServerlessConfig"]
    return Deployment(
        id=changes.new_id(),
        config=config_name,
        variant=variant["VariantName"],
        container=model.container,
        role_arn=model.role_arn,
        memory_mb=serverless["MemorySizeInMB"],
        max_concurrency=serverless["MaxConcurrency"],
        provisioned=serverless.get("ProvisionedConcurrency"),
    )


def _update(endpoint: Endpoint, deployment: Deployment, **described: Any) -> None:
    endpoint.pending = deployment
    kept = {key: value for key, value in endpoint.description.items() if key != "FailureReason"}
    times = {"EndpointStatus": "Updating", "LastModifiedTime": now()}
    endpoint.description = {**kept, **described, **times}
    endpoint_changed(endpoint)
    changes.begin(endpoint)


def install() -> None:
    """Replace moto's calls and add the missing one."""
    for call in (
        create_endpoint,
        update_endpoint,
        update_endpoint_weights_and_capacities,
        describe_endpoint,
        list_endpoints,
        delete_endpoint,
    ):
        setattr(SageMakerResponse, call.__name__, call)
