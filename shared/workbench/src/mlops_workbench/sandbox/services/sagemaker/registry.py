"""The model registry: model packages, versioned in their groups, and the groups' policies.

moto numbers versions by counting, lower-cases names in ARNs, forgets customer metadata on every update,
drops what it does not know (a model card, for one), and cannot delete. These calls return what was given,
as the service does. Of groups moto replaces one of the same name without a word, cannot delete, and has no
policies: a policy lets another account in.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from moto.core.responses import ActionResult, EmptyResult
from moto.sagemaker.exceptions import ConflictException, ValidationError
from moto.sagemaker.models import SageMakerModelBackend
from moto.sagemaker.responses import SageMakerResponse

from mlops_workbench.sandbox import session
from mlops_workbench.sandbox.services.sagemaker.records import EVENT_SOURCE, Record, arn, now, page, plain

_APPROVALS = ("Approved", "Rejected", "PendingManualApproval")
_SUMMARY = (
    "ModelPackageName",
    "ModelPackageGroupName",
    "ModelPackageVersion",
    "ModelPackageArn",
    "ModelPackageDescription",
    "CreationTime",
    "ModelPackageStatus",
    "ModelApprovalStatus",
    "ModelLifeCycle",
)
#: What CreateModelPackage takes and DescribeModelPackage does not return.
_NOT_DESCRIBED = ("Tags", "ClientToken")
#: "The metadata properties ... up to 50 key-value pairs": CreateModelPackage, CustomerMetadataProperties.
_MAX_METADATA = 50
#: The parts of a model package's card: "Model package model card schema" in the Developer Guide. Other cards
#: have more.
_CARD = {
    "model_overview": {"model_creator", "model_artifact"},
    "intended_uses": None,
    "business_details": None,
    "training_details": None,
    "evaluation_details": None,
    "additional_information": None,
}
_LONGEST_CARD = 100_000
#: [read] Amazon SageMaker developer guide, "Events that Amazon SageMaker AI sends to Amazon EventBridge".
_EVENT = "SageMaker Model Package State Change"
#: What a described package holds and its event does not.
_NOT_TOLD = ("Tags", "ClientToken")
_create = SageMakerResponse.create_model_package_group
_describe = SageMakerResponse.describe_model_package_group


def short_name(name_or_arn: str) -> str:
    """Return the name in an ARN (``…:model-package-group/NAME``), or the name itself."""
    return name_or_arn.split("/", 1)[1] if name_or_arn.startswith("arn:") else name_or_arn


def create_model_package(self: SageMakerResponse) -> ActionResult:
    """Make a new version in a group, or a package without versions.

    Raises:
        ValidationError: neither or both of the names given, an unknown group, a status that does not exist.
        ConflictException: an unversioned package of that name exists.
    """
    request: dict[str, Any] = dict(self.params)
    group, name = request.get("ModelPackageGroupName"), request.get("ModelPackageName")
    if bool(group) == bool(name):
        raise ValidationError("Exactly one of ModelPackageGroupName and ModelPackageName must be given.")
    _check_approval(request.get("ModelApprovalStatus"))
    _check_metadata(request.get("CustomerMetadataProperties") or {})
    _check_card(request.get("ModelCard"))
    backend, account, region = self.sagemaker_backend, self.current_account, self.region
    described = {key: value for key, value in request.items() if key not in _NOT_DESCRIBED}
    if group:
        group = short_name(group)
        if group not in backend.model_package_groups:
            raise ValidationError(f"Model Package Group {group} does not exist.")
        version = _next_version(backend, group)
        package_arn = arn(account, region, "model-package", f"{group}/{version}")
        described |= {"ModelPackageGroupName": group, "ModelPackageVersion": version}
        described.setdefault("ModelApprovalStatus", "PendingManualApproval")
    else:
        package_arn = arn(account, region, "model-package", str(name))
        if package_arn in backend.model_packages:
            raise ConflictException(f"Model Package already exists: {package_arn}")
    described |= {
        "ModelPackageArn": package_arn,
        "CreationTime": now(),
        "ModelPackageStatus": "Completed",
        "ModelPackageStatusDetails": {"ValidationStatuses": [], "ImageScanStatuses": []},
        "CertifyForMarketplace": request.get("CertifyForMarketplace", False),
    }
    backend.model_packages[package_arn] = Record(package_arn, described, list(request.get("Tags") or []))  # type: ignore[assignment]
    _changed(package_arn, described)
    return ActionResult({"ModelPackageArn": package_arn})


def describe_model_package(self: SageMakerResponse) -> ActionResult:
    """Return all of a package; by ARN, or by name if it has no versions."""
    return ActionResult(_find(self, self._get_param("ModelPackageName")).description)


def list_model_packages(self: SageMakerResponse) -> ActionResult:
    """List a group's versions, or unversioned packages; oldest first unless asked otherwise."""
    request = self.params
    group = request.get("ModelPackageGroupName")
    kind = "Versioned" if group else request.get("ModelPackageType") or "Unversioned"
    if group and short_name(group) not in self.sagemaker_backend.model_package_groups:
        raise ValidationError(f"Model Package Group {group} does not exist.")
    items = []
    for record in _packages(self.sagemaker_backend).values():
        item = record.description
        versioned = "ModelPackageGroupName" in item
        if group and item.get("ModelPackageGroupName") != short_name(group):
            continue
        if kind != "Both" and versioned != (kind == "Versioned"):
            continue
        if (wanted := request.get("ModelApprovalStatus")) and item.get("ModelApprovalStatus") != wanted:
            continue
        items.append({**item, "Name": item.get("ModelPackageName") or item["ModelPackageGroupName"]})
    chosen, token = page(items, request, name="Name")
    summaries = [{key: item[key] for key in _SUMMARY if key in item} for item in chosen]
    return ActionResult({"ModelPackageSummaryList": summaries, "NextToken": token})


def update_model_package(self: SageMakerResponse) -> ActionResult:
    """Change what is given and nothing else."""
    request = dict(self.params)
    record = _find(self, request.pop("ModelPackageArn"))
    _check_approval(request.get("ModelApprovalStatus"))
    _check_card(request.get("ModelCard"))
    metadata = {**record.description.get("CustomerMetadataProperties", {})}
    metadata |= request.pop("CustomerMetadataProperties", None) or {}
    for key in request.pop("CustomerMetadataPropertiesToRemove", None) or []:
        metadata.pop(key, None)
    _check_metadata(metadata)
    more = request.pop("AdditionalInferenceSpecificationsToAdd", None) or []
    request.pop("ClientToken", None)
    if more:
        before = record.description.get("AdditionalInferenceSpecifications", [])
        request["AdditionalInferenceSpecifications"] = [*before, *more]
    if metadata or "CustomerMetadataProperties" in record.description:
        request["CustomerMetadataProperties"] = metadata
    record.update(**request, LastModifiedTime=now())
    _changed(record.arn, record.description)
    return ActionResult({"ModelPackageArn": record.arn})


def delete_model_package(self: SageMakerResponse) -> ActionResult:
    """Delete a package; its version number is not given out again."""
    record = _find(self, self._get_param("ModelPackageName"))
    del self.sagemaker_backend.model_packages[record.arn]
    return EmptyResult()


def _packages(backend: SageMakerModelBackend) -> dict[str, Record]:
    packages: dict[str, Any] = backend.model_packages
    return packages


def _find(response: SageMakerResponse, name: str) -> Record:
    if not name.startswith("arn:"):
        name = arn(response.current_account, response.region, "model-package", name)
    record = _packages(response.sagemaker_backend).get(name)
    if record is None:
        raise ValidationError(f"ModelPackage {name} does not exist.")
    return record


def _next_version(backend: SageMakerModelBackend, group: str) -> int:
    versions: dict[str, int] = vars(backend).setdefault("sandbox_model_package_versions", {})
    versions[group] = versions.get(group, 0) + 1
    return versions[group]


def _check_approval(status: str | None) -> None:
    if status is not None and status not in _APPROVALS:
        raise ValidationError(f"ModelApprovalStatus: expected one of {', '.join(_APPROVALS)}, got '{status}'")


def _check_metadata(metadata: dict[str, str]) -> None:
    if len(metadata) > _MAX_METADATA:
        raise ValidationError(
            f"CustomerMetadataProperties: expected at most {_MAX_METADATA} pairs, got {len(metadata)}"
        )


def _check_card(card: dict[str, Any] | None) -> None:
    """Refuse a card that is no JSON object, too long, or has parts that such a card does not have."""
    text = (card or {}).get("ModelCardContent")
    if text is None:
        return
    where = "ModelCard.ModelCardContent"
    if len(text) > _LONGEST_CARD or "\n" in text:
        raise ValidationError(
            f"{where}: expected one line of at most {_LONGEST_CARD} characters, got {len(text)} characters "
            f"in {text.count(chr(10)) + 1} lines"
        )
    try:
        content = json.loads(text)
    except ValueError as error:
        raise ValidationError(f"{where}: expected JSON, got {error}") from None
    if not isinstance(content, dict):
        raise ValidationError(f"{where}: expected an object, got {type(content).__name__}")
    unknown = [key for key in content if key not in _CARD]
    for part, keys in _CARD.items():
        if keys is not None:
            unknown += [f"{part}.{key}" for key in content.get(part, {}) if key not in keys]
    if unknown:
        raise ValidationError(f"{where}: a model package's card has no {', '.join(unknown)}")


def _changed(arn: str, description: Mapping[str, Any]) -> None:
    """Tell of a model package that was made or changed; a change of its metadata is told too."""
    region, account = arn.split(":")[3:5]
    detail = {key: plain(value) for key, value in description.items() if key not in _NOT_TOLD}
    session.emit(account, region, EVENT_SOURCE, _EVENT, detail, [arn])


def _install_model_packages() -> None:
    """Replace moto's calls, and let its tags find packages."""
    calls = (
        create_model_package,
        describe_model_package,
        list_model_packages,
        update_model_package,
        delete_model_package,
    )
    for call in calls:
        setattr(SageMakerResponse, call.__name__, call)
    find_resource = SageMakerModelBackend._get_resource_from_arn

    def _get_resource_from_arn(self: SageMakerModelBackend, arn: str) -> Any:
        # moto splits an ARN at its only slash; a version's ARN has two.
        if ":model-package/" in arn and arn in self.model_packages:
            return self.model_packages[arn]
        return find_resource(self, arn)

    SageMakerModelBackend._get_resource_from_arn = _get_resource_from_arn  # type: ignore[method-assign]


def create_model_package_group(self: SageMakerResponse) -> ActionResult:
    """Make a group; a name can be used once."""
    name = self._get_param("ModelPackageGroupName")
    if name in self.sagemaker_backend.model_package_groups:
        raise ValidationError(f"Model Package Group already exists: {_arn(self, name)}")
    return _create(self)


def describe_model_package_group(self: SageMakerResponse) -> ActionResult:
    """Describe a group, by name or ARN, without the tags, which ListTags returns."""
    self.params["ModelPackageGroupName"] = short_name(self._get_param("ModelPackageGroupName"))
    return _describe(self)


def delete_model_package_group(self: SageMakerResponse) -> ActionResult:
    """Delete an empty group and its policy."""
    name = _existing(self)
    packages = self.sagemaker_backend.model_packages.values()
    if any(package.gen_response_object().get("ModelPackageGroupName") == name for package in packages):
        raise ConflictException(f"Model Package Group {name} cannot be deleted while it has model packages.")
    del self.sagemaker_backend.model_package_groups[name]
    _policies(self).pop(name, None)
    return EmptyResult()


def put_model_package_group_policy(self: SageMakerResponse) -> ActionResult:
    """Attach a resource policy, a JSON text."""
    name = _existing(self)
    policy = self._get_param("ResourcePolicy")
    try:
        json.loads(policy)
    except ValueError as error:
        raise ValidationError(f"ResourcePolicy: expected JSON: {error}") from None
    _policies(self)[name] = policy
    return ActionResult({"ModelPackageGroupArn": _arn(self, name)})


def get_model_package_group_policy(self: SageMakerResponse) -> ActionResult:
    """Return the policy's text as it was given."""
    name = _existing(self)
    if name not in _policies(self):
        raise ValidationError(f"Cannot find resource policy for: {_arn(self, name)}")
    return ActionResult({"ResourcePolicy": _policies(self)[name]})


def delete_model_package_group_policy(self: SageMakerResponse) -> ActionResult:
    """Detach the policy."""
    name = _existing(self)
    if _policies(self).pop(name, None) is None:
        raise ValidationError(f"Cannot find resource policy for: {_arn(self, name)}")
    return EmptyResult()


def _existing(response: SageMakerResponse) -> str:
    name = short_name(response._get_param("ModelPackageGroupName"))
    if name not in response.sagemaker_backend.model_package_groups:
        raise ValidationError(f"ModelPackageGroup {_arn(response, name)} does not exist.")
    return name


def _arn(response: SageMakerResponse, name: str) -> str:
    return arn(response.current_account, response.region, "model-package-group", name)


def _policies(response: SageMakerResponse) -> dict[str, str]:
    policies: dict[str, str] = vars(response.sagemaker_backend).setdefault("sandbox_group_policies", {})
    return policies


def _install_model_package_groups() -> None:
    """Replace moto's calls and add the missing ones."""
    for call in (
        create_model_package_group,
        describe_model_package_group,
        delete_model_package_group,
        put_model_package_group_policy,
        get_model_package_group_policy,
        delete_model_package_group_policy,
    ):
        setattr(SageMakerResponse, call.__name__, call)


def install() -> None:
    """Patch moto."""
    _install_model_packages()
    _install_model_package_groups()
