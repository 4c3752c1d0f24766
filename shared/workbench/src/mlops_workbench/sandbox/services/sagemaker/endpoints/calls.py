"""Endpoint configurations and endpoints: their calls; ``running`` does what they ask for.

A configuration has one serverless variant. [read] Amazon SageMaker developer guide, "Create an endpoint
configuration" and "Deploy models with Amazon SageMaker Serverless Inference", feature exclusions; API
reference of ProductionVariantServerlessConfig. Variants on instances are refused: nothing here stands for
an instance type.

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

from mlops_workbench.sandbox.services.sagemaker import serving
from mlops_workbench.sandbox.services.sagemaker.endpoints import running
from mlops_workbench.sandbox.services.sagemaker.endpoints.records import (
    Deployment,
    Endpoint,
    endpoint_changed,
)
from mlops_workbench.sandbox.services.sagemaker.models import models_of
from mlops_workbench.sandbox.services.sagemaker.records import Record, arn, checked, now, page

_CONFIG_SUMMARY = ("EndpointConfigName", "EndpointConfigArn", "CreationTime")
#: MB: the whole list of the service.
MEMORY = (1024, 2048, 3072, 4096, 5120, 6144)
#: What a serverless configuration may not have, and what a serverless variant may not have.
_NOT_SERVERLESS = (
    "AsyncInferenceConfig",
    "DataCaptureConfig",
    "ExplainerConfig",
    "KmsKeyId",
    "ShadowProductionVariants",
    "VpcConfig",
)
_NOT_IN_VARIANT = (
    "AcceleratorType",
    "ContainerStartupHealthCheckTimeoutInSeconds",
    "CoreDumpConfig",
    "EnableSSMAccess",
    "InferenceAmiVersion",
    "InitialInstanceCount",
    "InstanceType",
    "ManagedInstanceScaling",
    "ModelDataDownloadTimeoutInSeconds",
    "RoutingConfig",
    "VolumeSizeInGB",
)
#: Of two calls that would change one endpoint at a time, the second is to find it in progress.
_changing = threading.Lock()
_SUMMARY = ("EndpointName", "EndpointArn", "CreationTime", "LastModifiedTime", "EndpointStatus")


def configs_of(backend: SageMakerModelBackend) -> dict[str, Record]:
    """Return moto's dictionary of configurations, by name."""
    configs: dict[str, Any] = backend.endpoint_configs
    return configs


def find_config(response: SageMakerResponse, name: str) -> Record:
    """Return a configuration.

    Raises:
        ValidationError: there is none of this name.
    """
    config = configs_of(response.sagemaker_backend).get(name)
    if config is None:
        raise ValidationError(f'Could not find endpoint configuration "{_arn(response, name)}".')
    return config


def create_endpoint_config(self: SageMakerResponse) -> ActionResult:
    """Make a configuration.

    Raises:
        ValidationError: a name that is taken, no such model, or a rule that is broken.
    """
    request = checked("CreateEndpointConfig", self.params)
    name, configs = request["EndpointConfigName"], configs_of(self.sagemaker_backend)
    config_arn = _arn(self, name)
    if name in configs:
        raise ValidationError(f'Cannot create already existing endpoint configuration "{config_arn}".')
    variants = request["ProductionVariants"]
    if len(variants) != 1:
        raise ValidationError(f"ProductionVariants: expected one serverless variant, got {len(variants)}")
    (variant,) = variants
    _check_variant(self, variant)
    for key in _NOT_SERVERLESS:
        if request.get(key):
            raise ValidationError(f"{key} is not supported for serverless endpoints.")
    described = {key: value for key, value in request.items() if key != "Tags"}
    described |= {
        "EndpointConfigArn": config_arn,
        "CreationTime": now(),
        "ProductionVariants": [{"InitialVariantWeight": 1.0, **variant}],
        "EnableNetworkIsolation": request.get("EnableNetworkIsolation", False),
    }
    configs[name] = Record(config_arn, described, list(request.get("Tags") or []))
    return ActionResult({"EndpointConfigArn": config_arn})


def describe_endpoint_config(self: SageMakerResponse) -> ActionResult:
    """Return all of a configuration."""
    return ActionResult(find_config(self, self._get_param("EndpointConfigName")).description)


def list_endpoint_configs(self: SageMakerResponse) -> ActionResult:
    """List configurations, the newest first unless asked otherwise."""
    items = [config.description for config in configs_of(self.sagemaker_backend).values()]
    chosen, token = page(items, self.params, name="EndpointConfigName", order="Descending")
    summaries = [{key: item[key] for key in _CONFIG_SUMMARY} for item in chosen]
    return ActionResult({"EndpointConfigs": summaries, "NextToken": token})


def delete_endpoint_config(self: SageMakerResponse) -> ActionResult:
    """Forget a configuration; an endpoint that was made from it goes on.

    [read] API reference of DeleteEndpointConfig: "You must not delete an EndpointConfig in use by an endpoint
    that is live or while the UpdateEndpoint or CreateEndpoint operations are being performed". The service
    does not stop anybody, and neither does this.
    """
    name = self._get_param("EndpointConfigName")
    find_config(self, name)
    del configs_of(self.sagemaker_backend)[name]
    return EmptyResult()


def check_concurrency(maximum: int, provisioned: int | None) -> None:
    """Check ProvisionedConcurrency against MaxConcurrency.

    Raises:
        ValidationError: it is larger.
    """
    if provisioned is not None and provisioned > maximum:
        raise ValidationError(
            f"ServerlessConfig.ProvisionedConcurrency: expected at most MaxConcurrency, which is {maximum}, "
            f"got {provisioned}"
        )


def _check_variant(response: SageMakerResponse, variant: dict[str, Any]) -> None:
    config = variant.get("ServerlessConfig")
    if not config:
        raise ValidationError(
            f"ProductionVariants: variant {variant['VariantName']}: expected a ServerlessConfig; the sandbox "
            "has no instances to run a variant on"
        )
    for key in _NOT_IN_VARIANT:
        if variant.get(key):
            raise ValidationError(f"{key} is not supported for serverless production variants.")
    if config["MemorySizeInMB"] not in MEMORY:
        allowed = ", ".join(map(str, MEMORY))
        raise ValidationError(
            f"ServerlessConfig.MemorySizeInMB: expected one of {allowed}, got {config['MemorySizeInMB']}"
        )
    check_concurrency(config["MaxConcurrency"], config.get("ProvisionedConcurrency"))
    name = variant.get("ModelName")
    model = models_of(response.sagemaker_backend).get(name) if name else None
    if model is None:
        model_arn = arn(response.current_account, response.region, "model", str(name))
        raise ValidationError(f'Could not find model "{model_arn}".')
    for key in ("VpcConfig", "EnableNetworkIsolation"):
        if model.description.get(key):
            raise ValidationError(f"Model {name}: {key} is not supported for serverless endpoints.")
    if model.container is None:
        raise ValidationError(f"Model {name}: expected one container, got several")
    owner = serving.account_of(model.container.image)
    if owner not in (None, response.current_account):
        # [seen] github.com/aws/amazon-sagemaker-feedback, issue 181
        raise ValidationError(
            "The container image URI is not a prebuilt SageMaker algorithm or deep learning image, or the "
            "bring-your-own container image URI does not reside in an Amazon ECR repository within the same "
            "AWS account creating the endpoint."
        )


def _arn(response: SageMakerResponse, name: str) -> str:
    return arn(response.current_account, response.region, "endpoint-config", name)


def _install_endpoint_configs() -> None:
    """Replace moto's calls."""
    for call in (
        create_endpoint_config,
        describe_endpoint_config,
        list_endpoint_configs,
        delete_endpoint_config,
    ):
        setattr(SageMakerResponse, call.__name__, call)


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
    running.begin(endpoint)
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
        "ProductionVariants": running.summaries(deployment),
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
    variants = running.summaries(current)
    variants[0]["DesiredServerlessConfig"] = running.serverless_config(wanted)
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
    running.begin(endpoint)
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
        id=running.new_id(),
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
    running.begin(endpoint)


def _install_endpoints() -> None:
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


def install() -> None:
    """Patch moto."""
    _install_endpoint_configs()
    _install_endpoints()
