"""Roles: whether one exists, and whom its trust policy admits."""

from __future__ import annotations

from collections.abc import Mapping

from moto.iam.exceptions import NotFoundException
from moto.iam.models import Role, iam_backends

from mlops_workbench.sandbox.access.documents import parse, without_keys
from mlops_workbench.sandbox.access.evaluator import Principal, Request, evaluate
from mlops_workbench.sandbox.access.patterns import context_of
from mlops_workbench.sandbox.errors import AccessDenied

PARTITION = "aws"


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
