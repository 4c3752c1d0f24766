"""What the policies of a queue, a topic, a function, a log group, a bus or a key say to a service."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from moto.awslambda.models import lambda_backends
from moto.events.models import events_backends
from moto.kms.models import kms_backends
from moto.logs.models import logs_backends
from moto.sns.models import sns_backends
from moto.sqs.models import sqs_backends
from werkzeug.exceptions import HTTPException

from mlops_workbench.sandbox.events.admission import admits

Policy = str | Mapping[str, Any] | None


def refusal(arn: str, service: str, action: str, source_arn: str, source_account: str) -> str:
    """Return why a service may not use a resource, or "" if it may.

    For an encrypted queue or topic the key is asked too: without ``kms:GenerateDataKey`` and ``kms:Decrypt``
    for the service, nothing arrives.
    """
    _, _, kind, region, account, name = arn.split(":", 5)
    if kind == "logs":
        name = name.removeprefix("log-group:").removesuffix(":*")
    found = _READ[kind](account, region, name)
    if found is None:
        return f"{arn} does not exist"
    policies, key = found

    def admitted(policy: Policy, action: str, resource: str) -> bool:
        return admits(policy, service, action, resource, source_arn=source_arn, source_account=source_account)

    plain = arn if kind != "logs" else arn.removesuffix(":*")
    tried = [plain, f"{plain}:*"] if kind == "logs" else [plain]
    if not any(admitted(policy, action, resource) for policy in policies for resource in tried):
        return f"the policy of {arn} does not let {service} do {action} for {source_arn}"
    if key:
        key_arn, policy = _key(account, region, key)
        for needed in ("kms:GenerateDataKey", "kms:Decrypt"):
            if not admitted(policy, needed, key_arn):
                return f"the policy of key {key_arn} does not let {service} do {needed}"
    return ""


def _queue(account: str, region: str, name: str) -> tuple[list[Policy], str | None] | None:
    queue = sqs_backends[account][region].queues.get(name)
    return ([queue.policy], getattr(queue, "kms_master_key_id", None)) if queue else None


def _topic(account: str, region: str, name: str) -> tuple[list[Policy], str | None] | None:
    topic = sns_backends[account][region].topics.get(f"arn:aws:sns:{region}:{account}:{name}")
    return ([topic.policy], topic.kms_master_key_id or None) if topic else None


def _function(account: str, region: str, name: str) -> tuple[list[Policy], str | None] | None:
    try:
        function = lambda_backends[account][region].get_function(name.removeprefix("function:").split(":")[0])
    except HTTPException:
        return None
    # moto keeps the action as AddPermission takes it, and the resource with a suffix of its own.
    statements = [{**statement, "Resource": "*"} for statement in function.policy.statements]
    return [{"Statement": statements}], None


def _group(account: str, region: str, name: str) -> tuple[list[Policy], str | None] | None:
    backend = logs_backends[account][region]
    if name not in backend.groups:
        return None
    return [policy.policy_document for policy in backend.resource_policies.values()], None


def _bus(account: str, region: str, name: str) -> tuple[list[Policy], str | None] | None:
    bus = events_backends[account][region].event_buses.get(name.removeprefix("event-bus/"))
    return ([bus.policy], None) if bus else None


_READ = {"sqs": _queue, "sns": _topic, "lambda": _function, "logs": _group, "events": _bus}


def _key(account: str, region: str, key: str) -> tuple[str, Policy]:
    """Return the ARN and policy of a key; an AWS managed one admits no service but its own."""
    if "alias/aws/" in key:
        return key, None
    owner, place = (key.split(":")[4], key.split(":")[3]) if key.startswith("arn:") else (account, region)
    backend = kms_backends[owner][place]
    found = backend.keys.get(backend.any_id_to_key_id(key))
    return (found.arn, found.policy) if found else (key, None)
