"""Application Auto Scaling of a serverless variant's provisioned concurrency.

moto refuses the dimension, and has no tags. What is registered is kept and checked, not acted on: no load
here lasts long enough to scale by, and no schedule is run by the clock.
"""

from __future__ import annotations

import contextlib
from typing import Any

from botocore.exceptions import ClientError
from moto.applicationautoscaling import models, responses
from moto.applicationautoscaling.exceptions import AWSValidationException
from moto.applicationautoscaling.models import ApplicationAutoscalingBackend, FakeScalableTarget
from moto.applicationautoscaling.responses import ApplicationAutoScalingResponse
from moto.core.exceptions import JsonRESTError
from moto.core.responses import ActionResult, EmptyResult

from mlops_workbench.sandbox.iam.acting import as_account
from mlops_workbench.sandbox.service import Service

DIMENSION = "sagemaker:variant:DesiredProvisionedConcurrency"

_check_params = models._target_params_are_valid
_check_request = ApplicationAutoScalingResponse._validate_params
_register = ApplicationAutoScalingResponse.register_scalable_target
_put_policy = ApplicationAutoScalingResponse.put_scaling_policy
_put_action = ApplicationAutoScalingResponse.put_scheduled_action
_delete_action = ApplicationAutoScalingResponse.delete_scheduled_action


def target_params_are_valid(namespace: str, r_id: str, dimension: str) -> bool:
    """Accept the dimension that moto does not know."""
    if (namespace, dimension) == ("sagemaker", DIMENSION):
        return True
    return _check_params(namespace, r_id, dimension)


def validate_params(self: ApplicationAutoScalingResponse) -> None:
    """Accept the dimension that moto does not know."""
    if self._get_param("ScalableDimension") != DIMENSION:
        _check_request(self)


def register_scalable_target(self: ApplicationAutoScalingResponse) -> str:
    """Register or change a target, an endpoint's variant with provisioned concurrency; keep its tags."""
    resource = self._get_param("ResourceId")
    low, high = self._get_int_param("MinCapacity"), self._get_int_param("MaxCapacity")
    if self._get_param("ScalableDimension") == DIMENSION:
        _check_variant(self, resource)
    if low is not None and high is not None and low > high:
        raise AWSValidationException(f"MinCapacity: expected at most MaxCapacity, which is {high}, got {low}")
    answer = _register(self)
    target = self.applicationautoscaling_backend.targets[self._get_param("ScalableDimension")][resource]
    _tags(target).update(self._get_param("Tags") or {})
    return answer


def put_scaling_policy(self: ApplicationAutoScalingResponse) -> str:
    """Keep a policy of a target that exists."""
    _check_target(self)
    return _put_policy(self)


def put_scheduled_action(self: ApplicationAutoScalingResponse) -> str:
    """Keep a scheduled action of a target that exists."""
    _check_target(self)
    return _put_action(self)


def delete_scheduled_action(self: ApplicationAutoScalingResponse) -> str:
    """Delete a scheduled action that exists."""
    keys = ("ServiceNamespace", "ScheduledActionName", "ResourceId", "ScalableDimension")
    namespace, name, resource, dimension = (self._get_param(key) for key in keys)
    backend = self.applicationautoscaling_backend
    if not backend.describe_scheduled_actions([name], namespace, resource, dimension):  # type: ignore[arg-type]
        raise _not_found(f"No scheduled action found for resource ID: {resource}, name: {name}")
    return _delete_action(self)


def tag_resource(self: ApplicationAutoScalingResponse) -> ActionResult:
    """Set tags of a target."""
    _tags(_by_arn(self)).update(self._get_param("Tags") or {})
    return EmptyResult()


def untag_resource(self: ApplicationAutoScalingResponse) -> ActionResult:
    """Remove tags of a target."""
    tags = _tags(_by_arn(self))
    for key in self._get_param("TagKeys") or []:
        tags.pop(key, None)
    return EmptyResult()


def list_tags_for_resource(self: ApplicationAutoScalingResponse) -> ActionResult:
    """Return the tags of a target."""
    return ActionResult({"Tags": _tags(_by_arn(self))})


def deregister_scalable_target(
    self: ApplicationAutoscalingBackend, namespace: str, r_id: str, dimension: str
) -> None:
    """Forget a target, and its policies and scheduled actions with it, as the service does."""
    if r_id not in self.targets.get(dimension, {}):
        raise _not_found(
            f"No scalable target found for service namespace: {namespace}, resource ID: {r_id}, scalable "
            f"dimension: {dimension}"
        )
    del self.targets[dimension][r_id]
    place = (namespace, r_id, dimension)
    for key, policy in list(self.policies.items()):
        if (policy.service_namespace, policy.resource_id, policy.scalable_dimension) == place:
            del self.policies[key]
    self.scheduled_actions = [
        action
        for action in self.scheduled_actions
        if (action.service_namespace, action.resource_id, action.scalable_dimension) != place
    ]


def _check_variant(response: ApplicationAutoScalingResponse, resource: str) -> None:
    parts = str(resource).split("/")
    variants: list[dict[str, Any]] = []
    if len(parts) == 4 and (parts[0], parts[2]) == ("endpoint", "variant"):
        client = as_account("sagemaker", response.current_account, response.region)
        with contextlib.suppress(ClientError):
            # Without variants until it is in service.
            variants = client.describe_endpoint(EndpointName=parts[1]).get("ProductionVariants", [])
    provisioned = {
        each["VariantName"]: each.get("CurrentServerlessConfig", {}).get("ProvisionedConcurrency")
        for each in variants
    }
    if not provisioned.get(parts[-1]):
        raise AWSValidationException(
            f"{resource}: expected endpoint/NAME/variant/VARIANT of an endpoint in service whose variant has "
            "ProvisionedConcurrency"
        )


def _check_target(response: ApplicationAutoScalingResponse) -> None:
    dimension, resource = response._get_param("ScalableDimension"), response._get_param("ResourceId")
    if resource not in response.applicationautoscaling_backend.targets.get(dimension, {}):
        raise _not_found(
            f"No scalable target registered for resource ID: {resource}, scalable dimension: {dimension}"
        )


def _not_found(message: str) -> JsonRESTError:
    return JsonRESTError("ObjectNotFoundException", message)


def _by_arn(response: ApplicationAutoScalingResponse) -> FakeScalableTarget:
    wanted = response._get_param("ResourceARN")
    for by_resource in response.applicationautoscaling_backend.targets.values():
        for target in by_resource.values():
            if target.arn == wanted:
                return target
    raise _not_found(f"No scalable target found for ARN: {wanted}")


def _tags(target: FakeScalableTarget) -> dict[str, str]:
    tags: dict[str, str] = vars(target).setdefault("sandbox_tags", {})
    return tags


def install() -> None:
    """Replace moto's calls and add the missing ones."""
    models._target_params_are_valid = target_params_are_valid
    responses.ApplicationAutoScalingResponse._validate_params = validate_params  # type: ignore[method-assign]
    ApplicationAutoscalingBackend.deregister_scalable_target = deregister_scalable_target  # type: ignore[method-assign]
    for call in (
        register_scalable_target,
        put_scaling_policy,
        put_scheduled_action,
        delete_scheduled_action,
        tag_resource,
        untag_resource,
        list_tags_for_resource,
    ):
        setattr(ApplicationAutoScalingResponse, call.__name__, call)


class AutoScaling(Service):
    """Scalable targets."""

    def install(self) -> None:
        """Patch moto."""
        install()


SERVICE = AutoScaling()
