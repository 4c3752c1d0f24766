"""Endpoint configurations of one serverless variant, with the service's rules for these.

[read] Amazon SageMaker developer guide, "Create an endpoint configuration" and "Deploy models with Amazon
SageMaker Serverless Inference", feature exclusions; API reference of ProductionVariantServerlessConfig.
Variants on instances are refused: nothing here stands for an instance type.
"""

from __future__ import annotations

from typing import Any

from moto.core.responses import ActionResult, EmptyResult
from moto.sagemaker.exceptions import ValidationError
from moto.sagemaker.models import SageMakerModelBackend
from moto.sagemaker.responses import SageMakerResponse

from mlops_workbench.sandbox.aws.sagemaker.listing import page
from mlops_workbench.sandbox.aws.sagemaker.models import models_of
from mlops_workbench.sandbox.aws.sagemaker.records import Record, arn, now
from mlops_workbench.sandbox.aws.sagemaker.requests import checked
from mlops_workbench.sandbox.jobs import own_image

_SUMMARY = ("EndpointConfigName", "EndpointConfigArn", "CreationTime")
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
    summaries = [{key: item[key] for key in _SUMMARY} for item in chosen]
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
    owner = own_image.account_of(model.container.image)
    if owner not in (None, response.current_account):
        # [seen] github.com/aws/amazon-sagemaker-feedback, issue 181
        raise ValidationError(
            "The container image URI is not a prebuilt SageMaker algorithm or deep learning image, or the "
            "bring-your-own container image URI does not reside in an Amazon ECR repository within the same "
            "AWS account creating the endpoint."
        )


def _arn(response: SageMakerResponse, name: str) -> str:
    return arn(response.current_account, response.region, "endpoint-config", name)


def install() -> None:
    """Replace moto's calls."""
    for call in (
        create_endpoint_config,
        describe_endpoint_config,
        list_endpoint_configs,
        delete_endpoint_config,
    ):
        setattr(SageMakerResponse, call.__name__, call)
