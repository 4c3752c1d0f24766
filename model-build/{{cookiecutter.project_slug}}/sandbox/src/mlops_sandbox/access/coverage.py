"""What enforcement covers: the facts that the documentation's table is checked against."""

from __future__ import annotations

from dataclasses import dataclass

from mlops_sandbox.access import attached, conditions
from mlops_sandbox.access.names import PREFIXES
from mlops_sandbox.access.resources import RESOURCES


@dataclass(frozen=True)
class Coverage:
    """Services by their IAM prefix.

    Attributes:
        resources: a policy's Resource element is held against the ARN that the call names.
        resource_policies: the resource's own policy counts too.
        actions: every other service; only the action is looked at.
    """

    resources: tuple[str, ...]
    resource_policies: tuple[str, ...]
    actions: str = "every other service that the sandbox answers for"


def services() -> Coverage:
    """Return which services are enforced with resources, and which by action only."""
    prefixes = {PREFIXES.get(service, service) for service in RESOURCES} | {"apigateway"}
    # A role's trust policy is the policy of a resource of IAM, and STS asks it.
    return Coverage(tuple(sorted(prefixes)), tuple(sorted({*attached.SERVICES, "sts"})))


def operators() -> tuple[str, ...]:
    """Return the condition operators that are evaluated, without their negations and prefixes."""
    return tuple(sorted({*conditions.OPERATORS, "Null"}))
