"""Services that act as a role (CodeBuild, Lambda, SageMaker, event targets): temporary keys, and clients with them."""

from __future__ import annotations

import functools
import threading
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from moto.core.utils import utcnow
from moto.sts.models import AssumedRole, sts_backends

from mlops_workbench.sandbox import clients, credentials
from mlops_workbench.sandbox.access import trust
from mlops_workbench.sandbox.session import current

#: AWS renews the keys of what runs for longer; here they last as long as anything runs on one machine.
DURATION = timedelta(hours=12)
#: Keys with less time left than this are not handed out again.
_MARGIN = timedelta(minutes=15)


class _Sessions:
    """The roles' sessions of an open sandbox, by role, service, Region and name."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.by_use: dict[tuple[str, str, str, str], AssumedRole] = {}


def role_environment(
    role_arn: str, service: str, region: str, session_name: str, *, source_arn: str | None = None
) -> dict[str, str]:
    """Return the environment of a process that a service runs as a role, all of it that AWS clients read.

    Args:
        role_arn: of any account of the sandbox.
        service: the principal, such as ``codebuild.amazonaws.com``.
        region: what the clients use by default.
        session_name: the last part of the caller's ARN, which CloudTrail and error messages show.
        source_arn: the resource that the service acts for, which a trust policy may ask for by
            ``aws:SourceArn``; without it such a condition is not looked at.

    Raises:
        AccessDenied: there is no such role, or its trust policy does not admit the service.
        SandboxError: no sandbox is open.
    """
    session = assume(role_arn, service, region, session_name, source_arn=source_arn)
    account = trust.account_of(role_arn)
    return {
        **credentials.environment(account, region, current().endpoint_url),
        "AWS_ACCESS_KEY_ID": session.access_key_id,
        "AWS_SECRET_ACCESS_KEY": session.secret_access_key,
        "AWS_SESSION_TOKEN": session.session_token,
    }


def assume(
    role_arn: str, service: str, region: str, session_name: str, *, source_arn: str | None = None
) -> AssumedRole:
    """Return a session of a role for a service: an earlier one while it lasts, else a new one.

    Raises:
        AccessDenied: there is no such role, or its trust policy does not admit the service.
    """
    trust.check_service(role_arn, service, source_arn)
    key = (role_arn, service, region, session_name)
    known = current().part(_Sessions)
    with known.lock:
        session = known.by_use.get(key)
        if session is None or session.expiration - utcnow() < _MARGIN:
            backend = sts_backends[trust.account_of(role_arn)][trust.PARTITION]
            session = backend.assume_role(
                region_name=region,
                role_session_name=session_name[:64],
                role_arn=role_arn,
                policy="",
                duration=int(DURATION.total_seconds()),
                external_id="",
            )
            known.by_use[key] = session
        return session


def as_role(service: str, role_arn: str, principal: str, region: str, session_name: str) -> Any:
    """Return a boto3 client with a role's temporary keys.

    Raises:
        AccessDenied: there is no such role, or it does not trust the principal.
    """
    return _client(service, role_environment(role_arn, principal, region, session_name))


def as_account(service: str, account: str, region: str) -> Any:
    """Return a boto3 client with an account's own key: a service whom a resource's policy lets in."""
    return _client(service, credentials.environment(account, region, current().endpoint_url))


def _client(service: str, environment: Mapping[str, str]) -> Any:
    """Return a client that deliveries share: a thousand events need not make a thousand of the same."""
    return _shared(service, tuple(sorted(environment.items())))


@functools.lru_cache(maxsize=32)
def _shared(service: str, environment: tuple[tuple[str, str], ...]) -> Any:
    return clients.from_environment(service, dict(environment))
