"""Which KMS permissions a call needs besides its own, where a customer's key encrypts the resource."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeGuard

from moto.s3.models import FakeBucket, FakeKey, s3_backends
from moto.secretsmanager.models import secretsmanager_backends
from moto.sns.models import sns_backends
from moto.sqs.models import sqs_backends

from mlops_workbench.sandbox.iam.calls import Call
from mlops_workbench.sandbox.iam.policies import PARTITION, account_of, owner_of
from mlops_workbench.sandbox.iam.resources import key_arn

_READ, _WRITE = ("kms:Decrypt",), ("kms:GenerateDataKey",)


@dataclass(frozen=True)
class KeyUse:
    """An action on a key, with the condition keys that the service sets."""

    action: str
    key: str
    context: Mapping[str, str] = field(default_factory=dict)


def keys_of(call: Call, account: str, resource: str | None) -> list[KeyUse]:
    """Return what a call does with customers' keys; AWS's own keys (``aws/s3``) need no permission."""
    uses = _S3 if call.service == "s3" else _OTHERS.get(call.service, {})
    actions = uses.get(call.operation)
    if not actions or resource is None:
        return []
    key_id, owner = (
        _of_object(call, resource) if call.service == "s3" else _of_resource(call, resource, account)
    )
    if not key_id:
        return []
    key = key_arn(key_id, owner or account, call.region)
    if key is None or is_of_aws(key_id):
        return []
    context = {"kms:ViaService": f"{call.service}.{call.region}.amazonaws.com"}
    if call.service == "s3":
        context["kms:EncryptionContext:aws:s3:arn"] = resource
    return [KeyUse(action, key, context) for action in actions]


def source_keys(call: Call, source: str) -> list[KeyUse]:
    """Return what reading the source of a copy needs."""
    key = _stored(source)
    if key is None or not key.kms_key_id or is_of_aws(key.kms_key_id):
        return []
    arn = key_arn(key.kms_key_id, owner_of(source) or "", call.region)
    return [KeyUse("kms:Decrypt", arn, {"kms:ViaService": f"s3.{call.region}.amazonaws.com"})] if arn else []


def is_missing(resource: str | None) -> TypeGuard[str]:
    """Whether an object does not exist in a bucket that does."""
    return resource is not None and _bucket(resource) is not None and _stored(resource) is None


def encrypting_key(resource: str) -> str | None:
    """Return the KMS key of a secret, a topic or a queue: id, ARN or alias; ``None`` where it has none."""
    _, _, service, region, account, name = resource.split(":", 5)
    if service == "secretsmanager":
        secret = secretsmanager_backends[account][region].secrets.get(resource)
        return getattr(secret, "kms_key_id", None)
    if service == "sns":
        topic = sns_backends[account][region].topics.get(resource)
        return (topic.kms_master_key_id or None) if topic else None
    if service == "sqs":
        return getattr(sqs_backends[account][region].queues.get(name), "kms_master_key_id", None)
    return None


def is_of_aws(key_id: str) -> bool:
    """Whether a key, by its id, ARN or alias, is one that AWS manages."""
    return "alias/aws/" in key_id


_S3 = {
    "GetObject": _READ,
    "PutObject": _WRITE,
    "CopyObject": _WRITE,
    # Parts are read again when they are put together.
    "CreateMultipartUpload": (*_WRITE, *_READ),
}
_OTHERS: dict[str, dict[str, tuple[str, ...]]] = {
    "secretsmanager": {
        "GetSecretValue": _READ,
        "CreateSecret": (*_WRITE, *_READ),
        "PutSecretValue": (*_WRITE, *_READ),
    },
    "sns": {"Publish": (*_WRITE, *_READ), "PublishBatch": (*_WRITE, *_READ)},
    "sqs": {
        "SendMessage": (*_WRITE, *_READ),
        "SendMessageBatch": (*_WRITE, *_READ),
        "ReceiveMessage": _READ,
    },
}


def _of_object(call: Call, resource: str) -> tuple[str | None, str | None]:
    owner = owner_of(resource)
    if call.operation == "GetObject":
        stored = _stored(resource, next(iter(call.query.get("versionId", [])), None))
        return (stored.kms_key_id if stored else None), owner
    encryption = call.headers.get("x-amz-server-side-encryption")
    if encryption:
        key = call.headers.get("x-amz-server-side-encryption-aws-kms-key-id")
        return (key if encryption.startswith("aws:kms") else None), owner
    bucket = _bucket(resource)
    return (_default_key(bucket) if bucket else None), owner


def _default_key(bucket: FakeBucket) -> str | None:
    rule: Any = (bucket.encryption or {}).get("Rule") or (bucket.encryption or {}).get("Rules") or {}
    rule = rule[0] if isinstance(rule, list) else rule
    default = rule.get("ApplyServerSideEncryptionByDefault") or {}
    return default.get("KMSMasterKeyID") if str(default.get("SSEAlgorithm")).startswith("aws:kms") else None


def _stored(resource: str, version: str | None = None) -> FakeKey | None:
    bucket = _bucket(resource)
    name = resource.removeprefix("arn:aws:s3:::").partition("/")[2]
    if bucket is None:
        return None
    found = bucket.keys.getlist(name, []) if version else [bucket.keys.get(name)]
    for each in found:
        if isinstance(each, FakeKey) and version in (None, each.version_id):
            return each
    return None


def _bucket(resource: str) -> FakeBucket | None:
    owner, name = owner_of(resource), resource.removeprefix("arn:aws:s3:::").split("/", 1)[0]
    return s3_backends[owner][PARTITION].buckets.get(name) if owner else None


def _of_resource(call: Call, resource: str, account: str) -> tuple[str | None, str | None]:
    if call.operation == "CreateSecret":
        return call.params.get("KmsKeyId"), account
    return encrypting_key(resource), account_of(resource) or account
