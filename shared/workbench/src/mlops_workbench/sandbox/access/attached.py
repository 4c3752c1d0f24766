"""The policies of resources, and the trust of roles."""

from __future__ import annotations

import json
from collections.abc import Callable

from moto.awslambda.models import lambda_backends
from moto.ecr.models import ecr_backends
from moto.kms.models import kms_backends
from moto.s3.models import s3_backends
from moto.sagemaker.models import sagemaker_backends
from moto.secretsmanager.models import secretsmanager_backends
from moto.sns.models import sns_backends
from moto.sqs.models import sqs_backends

from mlops_workbench.sandbox.access.documents import Policy, parse
from mlops_workbench.sandbox.access.trust import PARTITION, account_of, find_role


def policies_of(resource: str, action: str) -> list[Policy]:
    """Return the policy of a resource of any account, given its ARN, or nothing."""
    service = resource.split(":")[2] if resource.startswith("arn:") else ""
    if service == "iam" and action.startswith("sts:"):
        role = find_role(resource)
        return [parse(role.assume_role_policy_document)] if role else []
    find = _POLICIES.get(service)
    text = find(resource) if find else None
    return [parse(text)] if text else []


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


def _bucket(arn: str) -> str | None:
    name, account = arn.removeprefix("arn:aws:s3:::").split("/", 1)[0], owner_of(arn)
    bucket = s3_backends[account][PARTITION].buckets.get(name) if account else None
    return bucket.policy.decode() if bucket and bucket.policy else None


def _key(arn: str) -> str | None:
    key = kms_backends[account_of(arn)][_region(arn)].keys.get(arn.rsplit("/", 1)[-1])
    return str(key.policy) if key and key.policy else None


def _queue(arn: str) -> str | None:
    queue = sqs_backends[account_of(arn)][_region(arn)].queues.get(arn.rsplit(":", 1)[-1])
    return queue.policy if queue else None


def _topic(arn: str) -> str | None:
    topic = sns_backends[account_of(arn)][_region(arn)].topics.get(arn)
    return topic.policy if topic else None


def _function(arn: str) -> str | None:
    backend = lambda_backends[account_of(arn)][_region(arn)]
    try:
        function = backend.get_function(":".join(arn.split(":")[:7]))
    except Exception:  # moto has a class of its own for each kind of missing function
        return None
    return json.dumps({"Statement": function.policy.statements}) if function.policy.statements else None


def _secret(arn: str) -> str | None:
    secret = secretsmanager_backends[account_of(arn)][_region(arn)].secrets.get(arn)
    return getattr(secret, "policy", None)  # a replica has none of its own


def _model_package_group(arn: str) -> str | None:
    kind, _, name = arn.split(":", 5)[5].partition("/")
    if kind not in ("model-package-group", "model-package"):
        return None
    backend = sagemaker_backends[account_of(arn)][_region(arn)]
    policies: dict[str, str] = vars(backend).get("sandbox_group_policies", {})
    return policies.get(name.split("/", 1)[0])


def _region(arn: str) -> str:
    return arn.split(":")[3]


def _repository(arn: str) -> str | None:
    repository = ecr_backends[account_of(arn)][_region(arn)].repositories.get(arn.split("/", 1)[-1])
    if repository is None or not repository.policy:
        return None
    document = json.loads(repository.policy)
    # Such a policy is about its repository, and names no resource.
    statements = [{"Resource": arn, **each} for each in document["Statement"]]
    return json.dumps({**document, "Statement": statements})


_POLICIES: dict[str, Callable[[str], str | None]] = {
    "ecr": _repository,
    "kms": _key,
    "lambda": _function,
    "s3": _bucket,
    "sagemaker": _model_package_group,
    "secretsmanager": _secret,
    "sns": _topic,
    "sqs": _queue,
}
#: Services, by IAM's prefix, whose resources have a policy of their own here.
SERVICES = tuple(sorted(_POLICIES))
