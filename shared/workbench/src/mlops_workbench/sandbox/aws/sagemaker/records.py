"""A resource of SageMaker as its Describe call returns it.

moto's own classes take the parameters they know and drop or invent the rest. A record keeps what was given,
under the names of the API. It lives in moto's dictionaries, so that tags and Search find it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

#: The source of SageMaker's events on EventBridge.
EVENT_SOURCE = "aws.sagemaker"


def now() -> datetime:
    """Return the time as descriptions carry it."""
    return datetime.now(UTC)


def arn(account: str, region: str, kind: str, name: str) -> str:
    """Return the ARN of a SageMaker resource."""
    partition = "aws-cn" if region.startswith("cn-") else "aws"
    return f"arn:{partition}:sagemaker:{region}:{account}:{kind}/{name}"


@dataclass
class Record:
    """A resource: its ARN, what Describe returns, and its tags."""

    arn: str
    description: dict[str, Any]
    tags: list[dict[str, str]] = field(default_factory=list)

    def update(self, **changes: Any) -> None:
        """Change the description; whoever reads it meanwhile sees the old one or the new one, whole."""
        self.description = {**self.description, **changes}

    @property
    def response_object(self) -> dict[str, Any]:
        """Return the description, where moto's Search looks for it."""
        return self.description

    def gen_response_object(self) -> dict[str, Any]:
        """Return the description, where moto's Search looks for it."""
        return self.description


def plain(value: Any) -> Any:
    """Return a value of a description as events have it."""
    if isinstance(value, datetime):
        return f"{value.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list) else value
