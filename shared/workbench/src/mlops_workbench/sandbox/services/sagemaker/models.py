"""Models: what was given comes back, and what a model is made of is settled when it is made.

moto drops a container's Environment and more, which the AWS provider takes for a change. It also takes any
model package; the service takes one that exists, that the caller may use, and that is approved.

The archive is fetched as the execution role, with the messages that SageMaker gives when it cannot be:
[read] in reports of these messages by users of CreateModel and CreateEndpoint.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError
from moto.core.responses import ActionResult, EmptyResult
from moto.sagemaker.exceptions import ValidationError
from moto.sagemaker.models import SageMakerModelBackend, sagemaker_backends
from moto.sagemaker.responses import SageMakerResponse

from mlops_workbench.sandbox.clients import from_environment
from mlops_workbench.sandbox.errors import AccessDenied, JobFailed
from mlops_workbench.sandbox.iam import acting
from mlops_workbench.sandbox.services.sagemaker import s3
from mlops_workbench.sandbox.services.sagemaker.records import Record, arn, checked, now, page
from mlops_workbench.sandbox.services.sagemaker.serving import Container

_MISSING = ("NoSuchKey", "NoSuchBucket", "404")
_SUMMARY = ("ModelName", "ModelArn", "CreationTime")


class NoModelData(Exception):
    """The archive is not there or may not be read; the message is a FailureReason."""


def fetch_model_data(client: Any, uri: str, role_arn: str | None, region: str, path: Path) -> None:
    """Write an archive to a file.

    Raises:
        NoModelData: it is not there, or the role may not read it.
    """
    body = _get(client, uri, role_arn, region)
    with path.open("wb") as file:
        shutil.copyfileobj(body, file)


def check_model_data(client: Any, uri: str, role_arn: str | None, region: str) -> None:
    """Check that an archive is there and may be read.

    Raises:
        NoModelData: it is not, or may not.
    """
    _get(client, uri, role_arn, region, Range="bytes=0-0").close()


def _get(client: Any, uri: str, role_arn: str | None, region: str, **more: str) -> Any:
    bucket, key = s3.split(uri)
    try:
        return client.get_object(Bucket=bucket, Key=key, **more)["Body"]
    except ClientError as error:
        details = error.response["Error"]
        if details.get("Code") in _MISSING:
            raise NoModelData(f"Could not find model data at {uri}.") from None
        raise NoModelData(no_access(uri, role_arn, region, details)) from None


def no_access(uri: str, role_arn: str | None, region: str, details: Any) -> str:
    """Return the message for an archive that the role may not read, with what S3 said."""
    return (
        f'Could not access model data at {uri}. Please ensure that the role "{role_arn}" exists and that its '
        'trust relationship policy allows the action "sts:AssumeRole" for the service principal '
        '"sagemaker.amazonaws.com". Also ensure that the role has "s3:GetObject" permissions and that the '
        f"object is located in {region}. ({details.get('Code')}: {details.get('Message')})"
    )


@dataclass
class Model(Record):
    """A model.

    Attributes:
        container: image, archive and environment; those of the model package where the request names one.
            None for a model of several containers, which jobs and endpoints here do not run.
    """

    container: Container | None = None

    @property
    def role_arn(self) -> str | None:
        """Return the execution role."""
        return self.description.get("ExecutionRoleArn")


def models_of(backend: SageMakerModelBackend) -> dict[str, Model]:
    """Return moto's dictionary of models, by name."""
    models: dict[str, Any] = backend._models
    return models


def create_model(self: SageMakerResponse) -> ActionResult:
    """Make a model.

    Raises:
        ValidationError: a name that is taken, a request that breaks a rule, a package that is missing or not
            approved, model data or an image that the execution role cannot have.
    """
    request = checked("CreateModel", self.params)
    name, models = request["ModelName"], models_of(self.sagemaker_backend)
    model_arn = arn(self.current_account, self.region, "model", name)
    if name in models:
        raise ValidationError(f'Cannot create already existing model "{model_arn}".')
    primary, several = request.get("PrimaryContainer"), request.get("Containers")
    if bool(primary) == bool(several):
        raise ValidationError("Exactly one of PrimaryContainer and Containers must be given.")
    containers = several or [primary]
    resolved = [_resolve(self, each) for each in containers]
    for given, container in zip(containers, resolved, strict=True):
        if not given.get("ModelPackageName"):
            _check_obtainable(self, container, request.get("ExecutionRoleArn"), model_arn)
    described = {key: value for key, value in request.items() if key != "Tags"}
    described |= {"ModelArn": model_arn, "CreationTime": now()}
    described.setdefault("EnableNetworkIsolation", False)
    only = resolved[0] if len(resolved) == 1 else None
    models[name] = Model(model_arn, described, list(request.get("Tags") or []), only)
    return ActionResult({"ModelArn": model_arn})


def describe_model(self: SageMakerResponse) -> ActionResult:
    """Return all of a model."""
    return ActionResult(_find(self).description)


def list_models(self: SageMakerResponse) -> ActionResult:
    """List models, the newest first unless asked otherwise."""
    items = [model.description for model in models_of(self.sagemaker_backend).values()]
    chosen, token = page(items, self.params, name="ModelName", order="Descending")
    summaries = [{key: item[key] for key in _SUMMARY} for item in chosen]
    return ActionResult({"Models": summaries, "NextToken": token})


def delete_model(self: SageMakerResponse) -> ActionResult:
    """Forget a model; endpoints that run it go on."""
    model = _find(self)
    del models_of(self.sagemaker_backend)[model.description["ModelName"]]
    return EmptyResult()


def _find(response: SageMakerResponse) -> Model:
    name = response._get_param("ModelName")
    model = models_of(response.sagemaker_backend).get(name)
    if model is None:
        model_arn = arn(response.current_account, response.region, "model", name)
        raise ValidationError(f'Could not find model "{model_arn}".')
    return model


def _resolve(response: SageMakerResponse, given: Mapping[str, Any]) -> Container:
    """Return what a container definition stands for; of two variables of one name the model's counts."""
    environment = dict(given.get("Environment") or {})
    if package := given.get("ModelPackageName"):
        (found, *_) = _package(response, package)["InferenceSpecification"]["Containers"]
        environment = {**(found.get("Environment") or {}), **environment}
        given = found
    if not given.get("Image"):
        raise ValidationError("Containers should have one of Image and ModelPackageName.")
    if given.get("ModelDataSource"):
        raise ValidationError(
            "ModelDataSource: the sandbox does not have it, and serverless endpoints and batch transform do "
            "not take it; give ModelDataUrl, a .tar.gz archive"
        )
    return Container(given["Image"], given.get("ModelDataUrl"), environment)


def _package(response: SageMakerResponse, name: str) -> dict[str, Any]:
    """Return a model package of any account; whether the caller may use it was asked at the door."""
    if not name.startswith("arn:"):
        name = arn(response.current_account, response.region, "model-package", name)
    region, owner = name.split(":")[3:5]
    packages: dict[str, Any] = sagemaker_backends[owner][region].model_packages
    found = packages.get(name) if region == response.region else None
    if found is None:
        raise ValidationError(f"ModelPackage {name} does not exist.")
    description: dict[str, Any] = found.description
    approval = description.get("ModelApprovalStatus", "Approved")
    if approval != "Approved":
        raise ValidationError(
            f"Model package {name} cannot be deployed: expected ModelApprovalStatus Approved, got {approval}"
        )
    if not description.get("InferenceSpecification", {}).get("Containers"):
        raise ValidationError(f"Model package {name} has no InferenceSpecification.")
    return description


def _check_obtainable(
    response: SageMakerResponse, container: Container, role: str | None, model_arn: str
) -> None:
    """Check what the service checks at once: the model data, and the permission to pull the image."""
    account, region = response.current_account, response.region
    session = model_arn.rsplit("/", 1)[-1]
    try:
        environment = acting.environment(account, region, role, session, model_arn)
    except AccessDenied as denied:
        raise ValidationError(f"Could not assume role {role}: {denied}") from None
    try:
        acting.check_pull(role, session, container.image, region)
    except AccessDenied as denied:
        raise ValidationError(
            f"Role {role} cannot pull {container.image}. Ensure that the role exists and the image was "
            f"granted pull permission. ({denied})"
        ) from None
    if container.model:
        try:
            check_model_data(from_environment("s3", environment, region), container.model, role, region)
        except (NoModelData, JobFailed) as error:
            raise ValidationError(str(error)) from None


def install() -> None:
    """Replace moto's calls."""
    for call in (create_model, describe_model, list_models, delete_model):
        setattr(SageMakerResponse, call.__name__, call)
