"""SageMaker's endpoints: what they serve, and how they are."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from mlops_workbench.sandbox.organisation.times import iso


@dataclass(frozen=True)
class Endpoint:
    """An endpoint.

    Attributes:
        configuration: the name of the endpoint configuration that serves.
        model: the model package that its variant is made of, ``email-router/3``, or else the model's name.
        reason: why its creation or last update failed.
    """

    account: str
    name: str
    status: str
    configuration: str
    model: str
    updated: str
    reason: str


def collect(client: Any, account: str, limit: int) -> Iterator[Endpoint]:
    """Return the endpoints of an account, those that changed last first."""
    listed = client.list_endpoints(SortBy="CreationTime", SortOrder="Descending", MaxResults=limit)
    for summary in listed["Endpoints"]:
        try:
            yield _describe(client, account, summary["EndpointName"])
        except ClientError:
            if client.list_endpoints(NameContains=summary["EndpointName"])["Endpoints"]:
                raise
            # It was deleted between the two calls.


def _describe(client: Any, account: str, name: str) -> Endpoint:
    endpoint = client.describe_endpoint(EndpointName=name)
    configuration = endpoint.get("EndpointConfigName", "")
    return Endpoint(
        account,
        name,
        endpoint["EndpointStatus"],
        configuration,
        _model(client, configuration),
        iso(endpoint.get("LastModifiedTime")),
        endpoint.get("FailureReason", ""),
    )


def _model(client: Any, configuration: str) -> str:
    """Return what a configuration serves; "" when it has been deleted meanwhile, which AWS allows."""
    try:
        variants = client.describe_endpoint_config(EndpointConfigName=configuration)["ProductionVariants"]
        name = str(variants[0]["ModelName"])
    except ClientError:
        return ""
    try:
        container = client.describe_model(ModelName=name).get("PrimaryContainer") or {}
    except ClientError:
        return name
    package = container.get("ModelPackageName", "")
    return "/".join(package.rsplit("/", 2)[-2:]) if package else name
