"""Whether a call is allowed: every permission that it needs, against every policy that speaks to it.

A call that hands a role to a service needs ``iam:PassRole`` for it as well.

A service that acts without a role is admitted by the resource's own policy: EventBridge into a queue, API
Gateway into a function. That is asked always, also where the permissions of roles are not enforced: a
forgotten statement is the most common reason why nothing arrives.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import unquote

from mlops_workbench.sandbox.errors import AccessDenied, PolicyError
from mlops_workbench.sandbox.iam import keys, resources
from mlops_workbench.sandbox.iam.calls import Call, action_of
from mlops_workbench.sandbox.iam.context import Values, context, plain_context, service_context
from mlops_workbench.sandbox.iam.evaluator import Principal, Request, evaluate
from mlops_workbench.sandbox.iam.policies import (
    ADMINISTRATOR,
    Identity,
    account_of,
    exists,
    owner_of,
    policies_of,
    principal_of_role,
)
from mlops_workbench.sandbox.iam.resources import resources_of

#: service -> the principal that gets the role, the calls, and where in their parameters roles are.
_PASSED: dict[str, tuple[str, frozenset[str], tuple[str, ...]]] = {
    "codebuild": (
        "codebuild.amazonaws.com",
        frozenset({"CreateProject", "UpdateProject", "StartBuild"}),
        ("serviceRole", "serviceRoleOverride"),
    ),
    "codepipeline": (
        "codepipeline.amazonaws.com",
        frozenset({"CreatePipeline", "UpdatePipeline"}),
        ("pipeline.roleArn", "pipeline.stages.actions.roleArn"),
    ),
    "events": (
        "events.amazonaws.com",
        frozenset({"PutRule", "PutTargets"}),
        ("RoleArn", "Targets.RoleArn"),
    ),
    "lambda": (
        "lambda.amazonaws.com",
        frozenset({"CreateFunction", "UpdateFunctionConfiguration"}),
        ("Role",),
    ),
    "sagemaker": (
        "sagemaker.amazonaws.com",
        frozenset(
            {
                "CreateEndpointConfig",
                "CreateModel",
                "CreatePipeline",
                "CreateProcessingJob",
                "CreateTrainingJob",
                "UpdatePipeline",
            }
        ),
        ("RoleArn", "ExecutionRoleArn"),
    ),
}
#: IAM allows these to everybody.
_FREE = ("sts:GetCallerIdentity",)


#: Calls that need another action for the tags that they give. [read] developer guide, "Grant permissions for
#: tagging SageMaker AI resources". The others' tags are not looked at here.
_TAGGED = ("CreateEndpoint", "CreateEndpointConfig", "CreateModel")
#: What a service needs of the key under which a queue or a topic keeps its messages.
_KEY_ACTIONS = ("kms:GenerateDataKey", "kms:Decrypt")


def passed_roles(call: Call) -> list[tuple[str, str]]:
    """Return (role ARN, service principal) for each role that a call passes on."""
    if call.service not in _PASSED:
        return []
    service, operations, paths = _PASSED[call.service]
    if call.operation not in operations:
        return []
    return [
        (role, service) for path in paths for role in dict.fromkeys(_values(call.params, path.split(".")))
    ]


def _values(params: Any, path: list[str]) -> Iterable[str]:
    if isinstance(params, list):
        for each in params:
            yield from _values(each, path)
    elif isinstance(params, dict) and path:
        yield from _values(params.get(path[0]), path[1:])
    elif isinstance(params, str) and not path:
        yield params


@dataclass(frozen=True)
class Need:
    """A permission that a call needs.

    Attributes:
        foreign_only: needed only if the resource is another account's.
        more: condition keys besides those of the call.
    """

    action: str
    resource: str | None
    more: Values | None = None
    foreign_only: bool = False


def check(call: Call, identity: Identity, *, enforce: bool) -> None:
    """Check a call.

    Args:
        call: what is asked.
        identity: who asks.
        enforce: whether the identity's own policies count; if not, it is an administrator of its account, and
            a resource policy that lets anybody of the account in lets it in.

    Raises:
        AccessDenied: with AWS's message.
    """
    account = identity.principal.account or ""
    for need in needs(call, account):
        if need.action in _FREE:
            continue
        foreign = owner_of(need.resource) not in (None, account)
        if need.foreign_only and not foreign:
            continue
        _check_one(call, identity, need, enforce)


def needs(call: Call, account: str) -> Iterator[Need]:
    """Return what a call needs: its own action on each resource, keys, and the passing of roles."""
    action = action_of(call)
    for resource in resources_of(call, account):
        yield Need(action, resource)
        for use in keys.keys_of(call, account, resource):
            yield Need(use.action, use.key, dict(use.context))
        if call.operation in ("GetObject", "HeadObject") and keys.is_missing(resource):
            # S3 tells only those that there is no such object who may list the bucket.
            yield Need("s3:ListBucket", resource.split("/", 1)[0])
        if call.service == "sagemaker" and call.operation in _TAGGED and call.params.get("Tags"):
            yield Need("sagemaker:AddTags", resource)
    for role, service in passed_roles(call):
        yield Need("iam:PassRole", role, {"iam:PassedToService": service})
    if call.operation in ("CopyObject", "UploadPartCopy"):
        name = unquote(call.headers.get("x-amz-copy-source", "")).lstrip("/").split("?versionId=")[0]
        yield Need("s3:GetObject", source := f"arn:aws:s3:::{name}")
        for use in keys.source_keys(call, source):
            yield Need(use.action, use.key, dict(use.context))
    if (call.service, call.operation) == ("sagemaker", "CreateModel"):
        for package in _packages(call):
            yield Need("sagemaker:CreateModel", package, foreign_only=True)
    if (call.service, call.operation) == ("sagemaker", "ListModelPackages"):
        group = str(call.params.get("ModelPackageGroupName") or "")
        if group.startswith("arn:"):
            packages = group.replace(":model-package-group/", ":model-package/")
            yield Need("sagemaker:ListModelPackages", f"{packages}/*", foreign_only=True)


def check_role(
    role_arn: str,
    session_name: str,
    action: str,
    resource: str | None,
    region: str,
    more: Mapping[str, str] | None = None,
    *,
    admitted: bool = False,
) -> None:
    """Check that a role may do something that a service does for it without a request of its own.

    Args:
        role_arn: whose policies are asked.
        session_name: for the message.
        action: such as ``iam:PassRole``.
        resource: its ARN; None where only the action is looked at.
        region: of the call.
        more: condition keys besides those that every request has.
        admitted: take it that the resource's owner, whom the sandbox does not know, lets the caller in.

    Raises:
        AccessDenied: there is no such role, or its policies do not allow it.
    """
    identity = principal_of_role(role_arn, session_name)
    keys_of_call = plain_context(identity, region, resource, more)
    request = Request(identity.principal, action, resource, keys_of_call)
    _decide(identity, request, enforce=True, admitted=admitted)


def _check_one(call: Call, identity: Identity, need: Need, enforce: bool) -> None:
    request = Request(
        identity.principal, need.action, need.resource, context(call, identity, need.resource, need.more)
    )
    _decide(identity, request, enforce=enforce)


def _decide(identity: Identity, request: Request, *, enforce: bool, admitted: bool = False) -> None:
    resource, action = request.resource, request.action
    # The name of a new bucket may be somebody else's, whom the caller need not ask.
    owned = None if action == "s3:CreateBucket" else resource
    policies = policies_of(owned, action) if owned else []
    assuming = action.startswith("sts:AssumeRole")
    principal = request.principal if enforce or assuming else replace(request.principal, whole_account=True)
    request = replace(
        request,
        principal=principal,
        resource_account=None if admitted else owner_of(owned),
        delegated=assuming or (bool(policies) and action.startswith("kms:")),
    )
    if enforce:
        decision = evaluate(request, identity.policies, identity.boundary, policies, identity.session)
    else:
        decision = evaluate(request, [ADMINISTRATOR], None, policies)
    if not decision.allowed:
        # STS does not say why.
        reason = "" if assuming else decision.reason
        raise AccessDenied(_message(identity.principal.arn, action, resource, reason))


def _message(arn: str, action: str, resource: str | None, reason: str) -> str:
    user = f"User: {arn} is not authorized to perform: {action}"
    shown = f'"{resource}"' if action.startswith("s3:") else resource
    return (f"{user} on resource: {shown} {reason}" if resource else f"{user} {reason}").rstrip()


def _packages(call: Call) -> Iterator[str]:
    containers = [call.params.get("PrimaryContainer"), *(call.params.get("Containers") or [])]
    for container in containers:
        if isinstance(container, dict) and str(container.get("ModelPackageName", "")).startswith("arn:"):
            yield container["ModelPackageName"]


def refusal(arn: str, service: str, action: str, source_arn: str, source_account: str) -> str:
    """Return why a service may not use a resource, or "" if it may.

    For an encrypted queue or topic the key is asked too: without ``kms:GenerateDataKey`` and ``kms:Decrypt``
    for the service, nothing arrives.

    Args:
        arn: of a queue, a topic, a function, a log group or an event bus.
        service: the principal, such as ``events.amazonaws.com``.
        action: such as ``sqs:SendMessage``.
        source_arn: for which resource the service acts, such as a rule: ``aws:SourceArn``.
        source_account: whose that is: ``aws:SourceAccount``.
    """
    if not exists(arn):
        return f"{arn} does not exist"

    def refused(action: str, resource: str, shown: str) -> str:
        reason = _refused(resource, service, action, source_arn, source_account)
        why = f"the policy of {shown} does not let {service} do {action} for {source_arn}"
        return f"{why}: {reason}" if reason else ""

    # Lines go into streams, and the statements of a logs policy are about those.
    place = f"{arn.removesuffix(':*')}:log-stream:*" if arn.split(":")[2] == "logs" else arn
    if why := refused(action, place, arn):
        return why
    if key := keys.encrypting_key(arn):
        if keys.is_of_aws(key):
            return f"the policy of key {key}, which is AWS's own, does not let {service} in"
        key_arn = resources.key_arn(key, account_of(arn), arn.split(":")[3])
        if key_arn is None:
            return f"key {key} does not exist"
        return next((why for each in _KEY_ACTIONS if (why := refused(each, key_arn, f"key {key_arn}"))), "")
    return ""


def _refused(resource: str, service: str, action: str, source_arn: str, source_account: str) -> str:
    """Return why the policies of one resource refuse, or "" if they do not."""
    context = service_context(service, resource, source_arn, source_account)
    request = Request(Principal(service, service=service), action, resource, context, delegated=True)
    try:
        decision = evaluate(request, [], None, policies_of(resource, action))
    except PolicyError as error:
        return str(error)
    return decision.reason
