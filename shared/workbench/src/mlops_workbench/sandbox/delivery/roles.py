"""Clients of a service that acts as a role."""

from __future__ import annotations

from typing import Any

from mlops_workbench.sandbox import clients
from mlops_workbench.sandbox.access.sessions import role_environment

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
            self._clients[key] = clients.from_environment(service, self.environment, key[1])
        return self._clients[key]
