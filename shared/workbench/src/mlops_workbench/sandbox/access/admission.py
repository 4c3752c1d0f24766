"""Whether a resource admits an AWS service that acts without a role.

EventBridge is let into a queue, and API Gateway into a function, by the resource's own policy. Asked always,
also where the permissions of roles are not enforced: a forgotten statement is the most common reason why
nothing arrives.
"""

from __future__ import annotations

from mlops_workbench.sandbox.access import attached, keys, lookups
from mlops_workbench.sandbox.access.context import service_context
from mlops_workbench.sandbox.access.evaluator import Principal, Request, evaluate
from mlops_workbench.sandbox.access.trust import account_of
from mlops_workbench.sandbox.errors import PolicyError

#: What a service needs of the key under which a queue or a topic keeps its messages.
_KEY_ACTIONS = ("kms:GenerateDataKey", "kms:Decrypt")


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
    if not attached.exists(arn):
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
        key_arn = lookups.key_arn(key, account_of(arn), arn.split(":")[3])
        if key_arn is None:
            return f"key {key} does not exist"
        return next((why for each in _KEY_ACTIONS if (why := refused(each, key_arn, f"key {key_arn}"))), "")
    return ""


def _refused(resource: str, service: str, action: str, source_arn: str, source_account: str) -> str:
    """Return why the policies of one resource refuse, or "" if they do not."""
    context = service_context(service, resource, source_arn, source_account)
    request = Request(Principal(service, service=service), action, resource, context, delegated=True)
    try:
        decision = evaluate(request, [], None, attached.policies_of(resource, action))
    except PolicyError as error:
        return str(error)
    return decision.reason
