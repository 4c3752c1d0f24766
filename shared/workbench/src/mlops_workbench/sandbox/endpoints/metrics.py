"""What an endpoint tells CloudWatch.

[read] Amazon SageMaker developer guide, "Alarms and logs for tracking metrics from serverless endpoints",
whose list is exhaustive (InvocationModelErrors is not on it), and "Monitor Amazon SageMaker AI with Amazon
CloudWatch". A request that is throttled reaches no model, so none of the counts has it:
ServerlessConcurrentExecutionsUtilization, a fraction of MaxConcurrency, is 1 then.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from moto.cloudwatch.models import cloudwatch_backends
from moto.core.utils import utcnow

from mlops_workbench.sandbox.endpoints.deployment import Deployment, Endpoint
from mlops_workbench.sandbox.gate import STATE

NAMESPACE, INSTANCES = "AWS/SageMaker", "/aws/sagemaker/Endpoints"
_MICROSECONDS = 1_000_000


@dataclass(frozen=True)
class Invocation:
    """One request that reached the model.

    Attributes:
        status: the model's HTTP status; None when it did not answer.
        model_seconds: that the model took.
        overhead_seconds: that everything else took, the start of an instance included.
        setup_seconds: that the start of an instance took; 0: there was one.
        concurrent: requests that were being served, this one included.
    """

    status: int | None
    model_seconds: float
    overhead_seconds: float
    setup_seconds: float
    concurrent: int


def invoked(endpoint: Endpoint, deployment: Deployment, invocation: Invocation) -> None:
    """Tell of a request that reached the model."""
    status = invocation.status or 500
    values: list[tuple[str, float, str]] = [
        ("Invocations", 1, "None"),
        ("Invocation4XXErrors", float(400 <= status < 500), "None"),
        ("Invocation5XXErrors", float(status >= 500), "None"),
        ("ModelLatency", invocation.model_seconds * _MICROSECONDS, "Microseconds"),
        ("OverheadLatency", invocation.overhead_seconds * _MICROSECONDS, "Microseconds"),
        _utilization(invocation.concurrent, deployment),
    ]
    if invocation.setup_seconds:
        values.append(("ModelSetupTime", invocation.setup_seconds * _MICROSECONDS, "Microseconds"))
    if deployment.provisioned:
        within = invocation.concurrent <= deployment.provisioned
        share = invocation.concurrent / deployment.provisioned
        values += [
            ("ServerlessProvisionedConcurrencyExecutions", float(invocation.concurrent), "Count"),
            ("ServerlessProvisionedConcurrencyUtilization", share, "None"),
            ("ServerlessProvisionedConcurrencyInvocations", float(within), "Count"),
            ("ServerlessProvisionedConcurrencySpilloverInvocations", float(not within), "Count"),
        ]
    _put(endpoint, deployment, NAMESPACE, values)


def throttled(endpoint: Endpoint, deployment: Deployment) -> None:
    """Tell of a request that was one too many."""
    _put(endpoint, deployment, NAMESPACE, [_utilization(deployment.max_concurrency, deployment)])


def memory(endpoint: Endpoint, deployment: Deployment, percent: float) -> None:
    """Tell how much of its memory an instance uses."""
    _put(endpoint, deployment, INSTANCES, [("MemoryUtilization", percent, "Percent")])


def _utilization(concurrent: int, deployment: Deployment) -> tuple[str, float, str]:
    return "ServerlessConcurrentExecutionsUtilization", concurrent / deployment.max_concurrency, "None"


def _put(
    endpoint: Endpoint, deployment: Deployment, namespace: str, values: list[tuple[str, float, str]]
) -> None:
    moment = utcnow()
    dimensions = [
        {"Name": "EndpointName", "Value": endpoint.name},
        {"Name": "VariantName", "Value": deployment.variant},
    ]
    data: list[dict[str, Any]] = [
        {"MetricName": name, "Value": value, "Unit": unit, "Dimensions": dimensions, "Timestamp": moment}
        for name, value, unit in values
    ]
    with STATE.changing():
        cloudwatch_backends[endpoint.account][endpoint.region].put_metric_data(namespace, data)
