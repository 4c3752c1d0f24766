"""The policies that there are: of roles and whom they trust, of resources, and of who signs a request."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from moto.awslambda.models import lambda_backends
from moto.core.utils import utcnow
from moto.ecr.models import ecr_backends
from moto.events.models import events_backends
from moto.iam.exceptions import NotFoundException
from moto.iam.models import IAMBackend, ManagedPolicy, Role, iam_backends
from moto.kms.models import kms_backends
from moto.logs.models import logs_backends
from moto.s3.models import s3_backends
from moto.sagemaker.models import sagemaker_backends
from moto.secretsmanager.models import secretsmanager_backends
from moto.sns.models import sns_backends
from moto.sqs.models import sqs_backends
from moto.sts.models import AssumedRole, sts_backends

from mlops_workbench.sandbox.errors import AccessDenied
from mlops_workbench.sandbox.iam.documents import Policy, context_of, parse, without_keys
from mlops_workbench.sandbox.iam.evaluator import Principal, Request, evaluate

PARTITION = "aws"
ADMINISTRATOR = parse('{"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}')


def account_of(arn: str) -> str:
    """Return the account part of an ARN; empty where it has none, as a bucket's."""
    parts = arn.split(":")
    return parts[4] if len(parts) > 4 else ""


def find_role(role_arn: str) -> Role | None:
    """Return a role of any account, or ``None``."""
    account = account_of(role_arn)
    if not account.isdigit() or account not in iam_backends:
        return None
    try:
        return iam_backends[account][PARTITION].get_role_by_arn(role_arn)
    except NotFoundException:
        return None


def check_service(
    role_arn: str, service: str, source_arn: str | None, source_account: str | None = None
) -> None:
    """Check that a service may act as a role.

    Args:
        role_arn: of any account.
        service: the principal, such as ``codebuild.amazonaws.com``.
        source_arn: for which resource it acts; conditions on ``aws:SourceArn`` are left out without it.
        source_account: whose resource that is; the role's own account unless given.

    Raises:
        AccessDenied: there is no such role, or its trust policy does not admit the service.
    """
    role = find_role(role_arn)
    if role is None:
        raise AccessDenied(f"The role {role_arn} cannot be found.")
    policy = parse(role.assume_role_policy_document)
    if source_arn is None:
        policy = without_keys(policy, ["aws:sourcearn"])
    values = {"aws:SourceAccount": source_account or account_of(role_arn), "aws:SourceArn": source_arn}
    request = Request(Principal(service, service=service), "sts:AssumeRole", None, context_of(values))
    if not evaluate(request, [], None, [policy]).allowed:
        raise AccessDenied(
            f"{service} is not authorized to perform: sts:AssumeRole on resource: {role_arn}: "
            "the role's trust policy does not admit it"
        )


def check_web_identity(role_arn: str, provider: str, claims: Mapping[str, object]) -> None:
    """Check that a role's trust policy admits a token's claims, whose names begin with the provider's host.

    Raises:
        AccessDenied: it does not, or there is no such role.
    """
    action = "sts:AssumeRoleWithWebIdentity"
    role = find_role(role_arn)
    values = {
        key: [str(each) for each in value] if isinstance(value, list) else str(value)
        for key, value in claims.items()
    }
    request = Request(
        Principal(provider, federated=provider), action, None, context_of(values), delegated=True
    )
    policies = [parse(role.assume_role_policy_document)] if role else []
    if not evaluate(request, [], None, policies).allowed:
        raise AccessDenied(f"Not authorized to perform {action}")


def policies_of(resource: str, action: str) -> list[Policy]:
    """Return the policies of a resource of any account, given its ARN: one, as a rule, or none."""
    service = resource.split(":")[2] if resource.startswith("arn:") else ""
    if service == "iam" and action.startswith("sts:"):
        role = find_role(resource)
        return [parse(role.assume_role_policy_document)] if role else []
    return [parse(text) for text in _documents(resource) or ()]


def exists(resource: str) -> bool:
    """Whether there is such a resource of one of ``SERVICES``, given its ARN."""
    return _documents(resource) is not None


def owner_of(resource: str | None) -> str | None:
    """Return the account that owns a resource; ``None`` if its ARN does not say, as for most of S3's."""
    if not resource or not resource.startswith("arn:"):
        return None
    if resource.startswith("arn:aws:s3:::"):
        bucket = resource.removeprefix("arn:aws:s3:::").split("/", 1)[0]
        found = s3_backends.bucket_accounts.get(bucket)
        return found[1] if found else None
    account = account_of(resource)
    return account if account.isdigit() else None


def _documents(resource: str) -> list[str] | None:
    """Return the texts of a resource's policies; ``None`` if there is no such resource."""
    find = _POLICIES.get(resource.split(":")[2]) if resource.startswith("arn:") else None
    return find(resource) if find else None


def _of(resource: Any, policy: str = "policy") -> list[str] | None:
    """Return the policy that moto keeps as an attribute of a resource, if there is the resource."""
    if resource is None:
        return None
    text = getattr(resource, policy, None)
    return [text.decode() if isinstance(text, bytes) else str(text)] if text else []


def _bucket(arn: str) -> list[str] | None:
    name, account = arn.removeprefix("arn:aws:s3:::").split("/", 1)[0], owner_of(arn)
    return _of(s3_backends[account][PARTITION].buckets.get(name)) if account else None


def _bus(arn: str) -> list[str] | None:
    kind, _, name = arn.split(":", 5)[5].partition("/")
    if kind != "event-bus":
        return None
    return _of(events_backends[account_of(arn)][_region(arn)].event_buses.get(name))


def _key(arn: str) -> list[str] | None:
    return _of(kms_backends[account_of(arn)][_region(arn)].keys.get(arn.rsplit("/", 1)[-1]))


def _log_group(arn: str) -> list[str] | None:
    """Return the policies of the account's logs: CloudWatch Logs has none for a single group."""
    backend = logs_backends[account_of(arn)][_region(arn)]
    group = arn.split(":log-group:", 1)[-1].split(":", 1)[0]
    if group not in backend.groups:
        return None
    return [policy.policy_document for policy in backend.resource_policies.values()]


def _queue(arn: str) -> list[str] | None:
    return _of(sqs_backends[account_of(arn)][_region(arn)].queues.get(arn.rsplit(":", 1)[-1]))


def _topic(arn: str) -> list[str] | None:
    return _of(sns_backends[account_of(arn)][_region(arn)].topics.get(arn))


def _function(arn: str) -> list[str] | None:
    backend = lambda_backends[account_of(arn)][_region(arn)]
    try:
        function = backend.get_function(":".join(arn.split(":")[:7]))
    except Exception:  # moto has a class of its own for each kind of missing function
        return None
    return [json.dumps({"Statement": function.policy.statements})] if function.policy.statements else []


def _secret(arn: str) -> list[str] | None:
    # A replica has no policy of its own.
    return _of(secretsmanager_backends[account_of(arn)][_region(arn)].secrets.get(arn))


def _model_package_group(arn: str) -> list[str] | None:
    kind, _, name = arn.split(":", 5)[5].partition("/")
    if kind not in ("model-package-group", "model-package"):
        return None
    backend = sagemaker_backends[account_of(arn)][_region(arn)]
    policies: dict[str, str] = vars(backend).get("sandbox_group_policies", {})
    text = policies.get(name.split("/", 1)[0])
    return [text] if text else []


def _repository(arn: str) -> list[str] | None:
    repository = ecr_backends[account_of(arn)][_region(arn)].repositories.get(arn.split("/", 1)[-1])
    if repository is None:
        return None
    if not repository.policy:
        return []
    document = json.loads(repository.policy)
    # Such a policy is about its repository, and names no resource.
    statements = [{"Resource": arn, **each} for each in document["Statement"]]
    return [json.dumps({**document, "Statement": statements})]


def _region(arn: str) -> str:
    return arn.split(":")[3]


_POLICIES: dict[str, Callable[[str], list[str] | None]] = {
    "ecr": _repository,
    "events": _bus,
    "kms": _key,
    "lambda": _function,
    "logs": _log_group,
    "s3": _bucket,
    "sagemaker": _model_package_group,
    "secretsmanager": _secret,
    "sns": _topic,
    "sqs": _queue,
}
#: Services, by IAM's prefix, whose resources have a policy of their own here.
SERVICES = tuple(sorted(_POLICIES))


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


def principal_of_key(key_id: str) -> Identity | None:
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


def principal_of_role(role_arn: str, session_name: str) -> Identity:
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
    identity = principal_of_role(session.role_arn, session.session_name)
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
