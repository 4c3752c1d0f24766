"""What an endpoint runs: settled when it is asked for, since its configuration and model may be deleted."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path

from mlops_workbench.sandbox import session
from mlops_workbench.sandbox.services.sagemaker.records import EVENT_SOURCE, Record, plain
from mlops_workbench.sandbox.services.sagemaker.serving import Container

WORKERS, IDLE = "MLOPS_SANDBOX_ENDPOINT_WORKERS", "MLOPS_SANDBOX_ENDPOINT_IDLE"
_WORKERS, _IDLE = 2, 300


@dataclass(frozen=True)
class Deployment:
    """A configuration's one serverless variant, with its model.

    Attributes:
        id: unique; names its folder.
        config: the endpoint configuration's name.
        variant: its name, such as ``AllTraffic``.
        container: image, archive and environment; those of the model package where the model names one.
        role_arn: the model's execution role; None for none.
        memory_mb: MemorySizeInMB. The sandbox does not enforce it; MemoryUtilization tells.
        max_concurrency: requests at a time; one more is throttled.
        provisioned: ProvisionedConcurrency; None: on demand.
    """

    id: str
    config: str
    variant: str
    container: Container
    role_arn: str | None
    memory_mb: int
    max_concurrency: int
    provisioned: int | None

    @property
    def cap(self) -> int:
        """Return the most instances that this machine runs of it at a time."""
        return min(self.max_concurrency, workers())

    @property
    def minimum(self) -> int:
        """Return how many instances are kept started."""
        return min(self.provisioned or 0, self.cap)


@dataclass
class Endpoint(Record):
    """An endpoint: what DescribeEndpoint returns, and what runs behind it.

    Attributes:
        current: what serves; None before the first has become ready.
        pending: what shall serve, while the endpoint is Creating or Updating.
    """

    current: Deployment | None = None
    pending: Deployment | None = field(default=None)

    @property
    def name(self) -> str:
        """Return the endpoint's name."""
        return str(self.description["EndpointName"])

    @property
    def account(self) -> str:
        """Return the account that it is in."""
        return self.arn.split(":")[4]

    @property
    def region(self) -> str:
        """Return the Region that it is in."""
        return self.arn.split(":")[3]

    @property
    def status(self) -> str:
        """Return EndpointStatus."""
        return str(self.description["EndpointStatus"])

    def folder(self, sandbox_folder: Path) -> Path:
        """Return where its models and logs are."""
        return sandbox_folder / "endpoints" / self.account / self.region / self.name


def workers() -> int:
    """Return the most instances of one endpoint on this machine."""
    return positive(WORKERS, _WORKERS)


def idle_seconds() -> int:
    """Return after how many seconds without a request an instance ends."""
    return positive(IDLE, _IDLE)


def positive(variable: str, default: int) -> int:
    """Return a whole number of at least 1 from the environment.

    Raises:
        ValueError: it is something else.
    """
    text = os.environ.get(variable, "")
    if not text:
        return default
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise ValueError(f"{variable}: expected a whole number of at least 1, got {text!r}")
    return int(text)


def endpoint_changed(endpoint: Endpoint) -> None:
    """Tell of an endpoint's status, in the form of the documentation's sample: IN_SERVICE, milliseconds."""
    region, account = endpoint.arn.split(":")[3:5]
    described = endpoint.description
    names = ("EndpointName", "EndpointArn", "EndpointConfigName", "ProductionVariants", "FailureReason")
    detail = {key: plain(described[key]) for key in names if key in described}
    detail |= {
        "EndpointStatus": re.sub(r"(?<=[a-z])(?=[A-Z])", "_", described["EndpointStatus"]).upper(),
        "CreationTime": 1000 * described["CreationTime"].timestamp(),
        "LastModifiedTime": 1000 * described["LastModifiedTime"].timestamp(),
        "Tags": {tag["Key"]: tag["Value"] for tag in endpoint.tags},
    }
    session.emit(account, region, EVENT_SOURCE, "SageMaker Endpoint State Change", detail, [endpoint.arn])
