"""Resource policies: whether a queue, a topic, a function or a key admits an AWS service.

A service that acts without a role (EventBridge to a queue, API Gateway to a function) is let in by the
resource's own policy. Enforced always, also where the permissions of roles are not: a forgotten statement is
the most common reason why nothing arrives.
"""

from __future__ import annotations

import fnmatch
import json
from collections.abc import Mapping
from typing import Any


def admits(
    policy: str | Mapping[str, Any] | None,
    service: str,
    action: str,
    resource: str,
    *,
    source_arn: str,
    source_account: str,
) -> bool:
    """Tell whether a resource's policy lets a service do something for a source.

    Args:
        policy: JSON, or parsed.
        service: e.g. ``events.amazonaws.com``.
        action: e.g. ``sqs:SendMessage``.
        resource: its ARN.
        source_arn: ``aws:SourceArn``, e.g. of the rule.
        source_account: ``aws:SourceAccount``.
    """
    document = json.loads(policy) if isinstance(policy, str) else policy or {}
    context = {
        "aws:sourcearn": source_arn,
        "aws:sourceaccount": source_account,
        "aws:principalservicename": service,
        "aws:principalisawsservice": "true",
        "aws:securetransport": "true",
    }
    allowed = False
    for statement in _list(document.get("Statement")):
        if not _applies(statement, service, action, resource, context):
            continue
        if statement.get("Effect") == "Deny":
            return False
        allowed = True
    return allowed


def _applies(
    statement: Mapping[str, Any], service: str, action: str, resource: str, context: Mapping[str, str]
) -> bool:
    if not _names(statement.get("Principal"), service):
        return False
    actions = [str(entry).lower() for entry in _list(statement.get("Action"))]
    if not any(fnmatch.fnmatchcase(action.lower(), entry) for entry in actions):
        return False
    resources = _list(statement.get("Resource")) or ["*"]
    if not any(like(resource, str(entry)) for entry in resources):
        return False
    condition: Mapping[str, Mapping[str, Any]] = statement.get("Condition") or {}
    return all(
        _holds(operator, context.get(key.lower()), [str(value) for value in _list(wanted)])
        for operator, pairs in condition.items()
        for key, wanted in pairs.items()
    )


def _names(principal: Any, service: str) -> bool:
    if principal == "*":
        return True
    if not isinstance(principal, Mapping):
        return False
    # {"AWS": "*"} is everybody, services too.
    return service in _list(principal.get("Service")) or "*" in _list(principal.get("AWS"))


def _holds(operator: str, value: str | None, wanted: list[str]) -> bool:
    name = operator.lower()
    if name.endswith("ifexists"):
        if value is None:
            return True
        name = name.removesuffix("ifexists")
    if name == "null":
        return (value is None) == (wanted == ["true"])
    negated = "not" in name
    if value is None:
        return negated
    name = name.replace("not", "")
    if name == "stringequals":
        met = value in wanted
    elif name in ("stringequalsignorecase", "bool"):
        met = value.lower() in [entry.lower() for entry in wanted]
    elif name in ("stringlike", "arnlike", "arnequals"):
        met = any(like(value, entry) for entry in wanted)
    else:
        return False  # unknown: a statement that cannot be read gives nothing
    return met != negated


def like(value: str, pattern: str) -> bool:
    """Compare with IAM's wildcards, ``*`` and ``?`` only."""
    return fnmatch.fnmatchcase(value, pattern.replace("[", "[[]"))


def _list(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]
