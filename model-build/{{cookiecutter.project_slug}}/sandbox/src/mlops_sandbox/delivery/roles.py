"""Clients of a service that acts as a role."""

from __future__ import annotations

from typing import Any

from mlops_sandbox import clients
from mlops_sandbox.access.sessions import role_environment

CODEBUILD = "codebuild.amazonaws.com"
CODEPIPELINE = "codepipeline.amazonaws.com"


class Role:
    """A role's session; its clients are made when they are asked for.

    ``source_arn`` is the project or pipeline that the service acts for, which trust policies may name.

    Raises:
        AccessDenied: the role does not exist, or does not trust the service.
    """

    def __init__(self, arn: str, service: str, region: str, session: str, source_arn: str) -> None:
        self.arn, self.region = arn, region
        self.environment = role_environment(arn, service, region, session, source_arn=source_arn)
        self._clients: dict[tuple[str, str], Any] = {}

    def client(self, service: str, region: str | None = None) -> Any:
        """Return a boto3 client that acts as the role."""
        key = (service, region or self.region)
        if key not in self._clients:
            self._clients[key] = from_environment(service, self.environment, key[1])
        return self._clients[key]


def from_environment(service: str, environment: dict[str, str], region: str) -> Any:
    """Return a boto3 client for the keys that AWS_* variables carry."""
    return clients.client(
        service,
        endpoint_url=environment["AWS_ENDPOINT_URL"],
        region=region,
        key_id=environment["AWS_ACCESS_KEY_ID"],
        secret=environment["AWS_SECRET_ACCESS_KEY"],
        token=environment.get("AWS_SESSION_TOKEN"),
    )
