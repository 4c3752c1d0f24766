"""Model package groups: deletion, and the policy that lets another account in.

moto creates, describes and lists groups; it replaces one of the same name without a word, cannot delete,
and has no policies.
"""

from __future__ import annotations

import json

from moto.core.responses import ActionResult, EmptyResult
from moto.sagemaker.exceptions import ConflictException, ValidationError
from moto.sagemaker.responses import SageMakerResponse

from mlops_workbench.sandbox.aws.sagemaker.model_packages import short_name
from mlops_workbench.sandbox.aws.sagemaker.records import arn

_create = SageMakerResponse.create_model_package_group
_describe = SageMakerResponse.describe_model_package_group


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


def install() -> None:
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
