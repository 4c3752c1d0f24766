"""The policies of resources, and the trust of roles."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from moto.awslambda.models import lambda_backends
from moto.ecr.models import ecr_backends
from moto.events.models import events_backends
from moto.kms.models import kms_backends
from moto.logs.models import logs_backends
from moto.s3.models import s3_backends
from moto.sagemaker.models import sagemaker_backends
from moto.secretsmanager.models import secretsmanager_backends
from moto.sns.models import sns_backends
from moto.sqs.models import sqs_backends

from mlops_workbench.sandbox.access.documents import Policy, parse
from mlops_workbench.sandbox.access.trust import PARTITION, account_of, find_role


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
