"""Whether policies allow a request: AWS's policy evaluation logic, as a pure function.

An explicit deny wins. In the resource's own account, an identity policy or a resource policy is enough;
across accounts both are needed. A permissions boundary (and a session's policy) limits what the identity
policies give. Organisation policies do not exist here.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mlops_workbench.sandbox.iam.documents import Context, Policy, Statement, matches, met


@dataclass(frozen=True)
class Principal:
    """Who asks.

    Attributes:
        arn: of a user or of a role's session, or a service's name.
        account: 12 digits; ``None`` for a service or an identity provider's user.
        role: ARN of the role whose session this is.
        service: such as ``codebuild.amazonaws.com``.
        federated: ARN of the identity provider that vouches for this principal.
        whole_account: count as every principal of the account, where a resource policy allows one of them.
    """

    arn: str
    account: str | None = None
    role: str | None = None
    service: str | None = None
    federated: str | None = None
    whole_account: bool = False


@dataclass(frozen=True)
class Request:
    """What is asked.

    Attributes:
        action: such as ``s3:GetObject``.
        resource: an ARN, or ``None`` where only the action is looked at.
        resource_account: the account that owns the resource; ``None`` means the principal's own.
        delegated: whether the resource's own policy must allow the call or delegate it to the account, as for
            KMS keys and for roles; for other resources the identity policy is enough in the same account.
    """

    principal: Principal
    action: str
    resource: str | None
    context: Context
    resource_account: str | None = None
    delegated: bool = False


@dataclass(frozen=True)
class Decision:
    """The answer, and why it is no: the end of AWS's message."""

    allowed: bool
    reason: str = ""


class Grant(enum.IntEnum):
    """How far a resource policy allows a call."""

    NONE = 0
    #: It names the account: what identity policies give counts, and they alone.
    ACCOUNT = 1
    #: It names the principal.
    DIRECT = 2
    #: It names the session or the user: a permissions boundary does not limit it.
    UNBOUNDED = 3


def evaluate(
    request: Request,
    identity_policies: Sequence[Policy],
    boundary: Sequence[Policy] | None,
    resource_policies: Sequence[Policy],
    session: Sequence[Policy] | None = None,
) -> Decision:
    """Decide on a request.

    Args:
        request: who asks for what.
        identity_policies: of the user, or of the session's role; none for a service.
        boundary: the permissions boundary; ``None`` is none.
        resource_policies: the one of the resource, if it has one.
        session: the policy given with AssumeRole; ``None`` is none.

    Raises:
        PolicyError: a statement that speaks to the request has a condition that IAM does not know.
    """
    action = request.action
    for kind, policies in (
        ("an identity-based policy", identity_policies),
        ("a permissions boundary", boundary or ()),
        ("a session policy", session or ()),
        ("a resource-based policy", resource_policies),
    ):
        by_resource = policies is resource_policies
        if any(_denies(each, request, by_resource) for policy in policies for each in policy):
            return Decision(False, f"with an explicit deny in {kind}")

    grant = max(
        (_grant(each, request) for policy in resource_policies for each in policy), default=Grant.NONE
    )
    identity = _allows(identity_policies, request)
    account = request.resource_account or request.principal.account
    foreign = request.principal.account is not None and account != request.principal.account
    if (foreign or request.delegated) and grant == Grant.NONE:
        return Decision(False, f"because no resource-based policy allows the {action} action")
    if not identity and (foreign or grant < Grant.DIRECT):
        return Decision(False, f"because no identity-based policy allows the {action} action")
    if grant < Grant.UNBOUNDED or foreign:
        if boundary is not None and not _allows(boundary, request):
            return Decision(False, f"because no permissions boundary allows the {action} action")
        if session is not None and not _allows(session, request):
            return Decision(False, f"because no session policy allows the {action} action")
    return Decision(True)


def _allows(policies: Sequence[Policy], request: Request) -> bool:
    return any(each.allow and _applies(each, request) for policy in policies for each in policy)


def _denies(statement: Statement, request: Request, by_resource: bool) -> bool:
    if statement.allow or not _applies(statement, request):
        return False
    return not by_resource or _named(statement, request.principal) > Grant.NONE


def _grant(statement: Statement, request: Request) -> Grant:
    if not statement.allow or not _applies(statement, request):
        return Grant.NONE
    return _named(statement, request.principal)


def _applies(statement: Statement, request: Request) -> bool:
    """Whether the statement is about this action and resource, and its conditions are met."""
    context = request.context
    if statement.actions is not None:
        if not any(matches(each, request.action, context, ignore_case=True) for each in statement.actions):
            return False
    elif any(
        matches(each, request.action, context, ignore_case=True) for each in statement.not_actions or ()
    ):
        return False
    if request.resource is not None:
        resource = request.resource
        if statement.resources is not None:
            if not any(matches(each, resource, context) for each in statement.resources):
                return False
        elif statement.not_resources is not None and any(
            matches(each, resource, context) for each in statement.not_resources
        ):
            return False
    return all(met(condition, context) for condition in statement.conditions)


def _named(statement: Statement, principal: Principal) -> Grant:
    if statement.principals is not None:
        return _names(statement.principals, principal, lenient=statement.allow)
    if statement.not_principals is not None:
        named = _names(statement.not_principals, principal, lenient=False)
        return Grant.NONE if named else Grant.DIRECT
    return Grant.NONE


def _names(element: Mapping[str, tuple[str, ...]], principal: Principal, *, lenient: bool) -> Grant:
    # [read] "AWS JSON policy elements: Principal": "*" and {"AWS": "*"} are equivalent.
    if "*" in element or "*" in element.get("AWS", ()):
        return Grant.DIRECT
    if principal.service:
        return Grant.DIRECT if principal.service in element.get("Service", ()) else Grant.NONE
    if principal.federated:
        return Grant.DIRECT if principal.federated in element.get("Federated", ()) else Grant.NONE
    grants = (_names_one(value, principal, lenient) for value in element.get("AWS", ()))
    return max(grants, default=Grant.NONE)


def _names_one(value: str, principal: Principal, lenient: bool) -> Grant:
    if value == principal.role:
        return Grant.DIRECT
    if value == principal.arn:
        return Grant.UNBOUNDED
    if value == principal.account or value == f"arn:aws:iam::{principal.account}:root":
        return Grant.ACCOUNT
    if lenient and principal.whole_account and re.match(f"arn:aws:(iam|sts)::{principal.account}:", value):
        return Grant.DIRECT
    return Grant.NONE
