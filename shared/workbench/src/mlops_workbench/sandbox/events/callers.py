"""Clients with which services act: as a role, or, where a resource's policy lets them in, as the account."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

from mlops_workbench.sandbox import clients, credentials


def as_role(service: str, role_arn: str, principal: str, region: str, session_name: str) -> Any:
    """Return a boto3 client with a role's temporary keys.

    Raises:
        mlops_workbench.sandbox.access.AccessDenied: there is no such role, or it does not trust the principal.
    """
    # Imported here: access needs the open sandbox.
    from mlops_workbench.sandbox.access import sessions

    return _client(service, sessions.role_environment(role_arn, principal, region, session_name))


def as_account(service: str, account: str, region: str) -> Any:
    """Return a boto3 client with an account's own key."""
    from mlops_workbench.sandbox.server import current

    return _client(service, credentials.environment(account, region, current().endpoint_url))


def _client(service: str, environment: Mapping[str, str]) -> Any:
    """Return a client that deliveries share: a thousand events need not make a thousand of the same."""
    return _shared(service, tuple(sorted(environment.items())))


@functools.lru_cache(maxsize=32)
def _shared(service: str, environment: tuple[tuple[str, str], ...]) -> Any:
    return clients.from_environment(service, dict(environment))
