"""Who signs a request, and which policies this principal has."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from moto.core.utils import utcnow
from moto.iam.models import IAMBackend, ManagedPolicy, iam_backends
from moto.sts.models import AssumedRole, sts_backends

from mlops_workbench.sandbox.access.documents import Policy, parse
from mlops_workbench.sandbox.access.evaluator import Principal
from mlops_workbench.sandbox.access.trust import PARTITION, account_of, find_role
from mlops_workbench.sandbox.errors import AccessDenied

ADMINISTRATOR = parse('{"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}')


@dataclass(frozen=True)
class Identity:
    """A principal with its policies.

    Attributes:
        boundary: its permissions boundary, or ``None``.
        session: the policy given with AssumeRole, or ``None``.
        tags: what ``aws:PrincipalTag/…`` hold.
    """

    principal: Principal
    policies: tuple[Policy, ...]
    boundary: tuple[Policy, ...] | None = None
    session: tuple[Policy, ...] | None = None
    user_id: str = ""
    user_name: str | None = None
    tags: tuple[tuple[str, str], ...] = ()

    @property
    def arn(self) -> str:
        """Return what ``aws:PrincipalArn`` holds: the role's ARN for a session."""
        return self.principal.role or self.principal.arn


def of_key(key_id: str) -> Identity | None:
    """Return whose access key this is; ``None`` if the sandbox has no such key.

    Raises:
        AccessDenied: the key was of a session that has ended, or whose role is gone.
    """
    for account, partitions in list(iam_backends.items()):
        key = partitions[PARTITION].access_keys.get(key_id)
        if key is None:
            continue
        if key.user_name:
            return _user(partitions[PARTITION], account, key.user_name)
        for session in reversed(sts_backends[account][PARTITION].assumed_roles):
            if session.access_key_id == key_id:
                return _session(session)
    return None


def of_role(role_arn: str, session_name: str) -> Identity:
    """Return the identity of a session of a role, without keys.

    Raises:
        AccessDenied: there is no such role.
    """
    role = find_role(role_arn)
    if role is None:
        raise AccessDenied(f"The role {role_arn} cannot be found.")
    account = account_of(role_arn)
    backend = iam_backends[account][PARTITION]
    documents = [*role.policies.values(), *(_default(each) for each in role.managed_policies.values())]
    return Identity(
        Principal(
            f"arn:aws:sts::{account}:assumed-role/{role.name}/{session_name}", account, role=str(role.arn)
        ),
        _parsed(documents),
        _boundary(backend, role.permissions_boundary_arn),
        user_id=f"{role.id}:{session_name}",
        tags=_tags(role.tags),
    )


def _session(session: AssumedRole) -> Identity:
    if session.expiration < utcnow():
        raise AccessDenied("The security token included in the request is expired")
    identity = of_role(session.role_arn, session.session_name)
    if not session.policy:
        return identity
    return Identity(**{**vars(identity), "session": _parsed([session.policy])})


def _user(backend: IAMBackend, account: str, name: str) -> Identity:
    user = backend.get_user(name)
    documents = [*user.policies.values(), *(_default(each) for each in user.managed_policies.values())]
    for group in backend.get_groups_for_user(name):
        documents += group.policies.values()
        documents += [_default(each) for each in group.managed_policies.values()]
    return Identity(
        Principal(str(user.arn), account),
        _parsed(documents),
        _boundary(backend, getattr(user, "permissions_boundary_arn", None)),
        user_id=user.id,
        user_name=name,
        tags=_tags(getattr(user, "tags", None)),
    )


def _boundary(backend: IAMBackend, arn: str | None) -> tuple[Policy, ...] | None:
    if not arn:
        return None
    policy = backend.managed_policies.get(arn)
    # A boundary that is gone allows nothing.
    return _parsed([_default(policy)]) if policy else ()


def _default(policy: ManagedPolicy) -> str:
    return next(str(each.document) for each in policy.versions if each.is_default)


def _parsed(documents: Iterable[str]) -> tuple[Policy, ...]:
    return tuple(parse(each) for each in documents)


def _tags(tags: object) -> tuple[tuple[str, str], ...]:
    if isinstance(tags, dict):
        # moto keeps a user's tags by key, or as the call gave them.
        return tuple(
            (key, value["Value"] if isinstance(value, dict) else value) for key, value in tags.items()
        )
    return tuple((each["Key"], each["Value"]) for each in tags) if isinstance(tags, list) else ()
