"""Clients with which services act: as a role, or, where a resource's policy lets them in, as the account."""

from __future__ import annotations

from typing import Any

from mlops_sandbox import clients, credentials


def as_role(service: str, role_arn: str, principal: str, region: str, session_name: str) -> Any:
    """Return a boto3 client with a role's temporary keys.

    Raises:
        mlops_sandbox.access.AccessDenied: there is no such role, or it does not trust the principal.
    """
    # Imported here: access needs the open sandbox.
    from mlops_sandbox.access import sessions

    return clients.from_environment(
        service, sessions.role_environment(role_arn, principal, region, session_name)
    )


def as_account(service: str, account: str, region: str) -> Any:
    """Return a boto3 client with an account's own key."""
    from mlops_sandbox.server import current

    return clients.from_environment(service, credentials.environment(account, region, current().endpoint_url))
