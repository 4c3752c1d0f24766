"""Parts of ARNs that a call does not hold as they are: paths of roles, ids of keys, suffixes of secrets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from moto.iam.models import iam_backends
from moto.kms.models import kms_backends
from moto.kms.utils import _deserialize_ciphertext_blob
from moto.secretsmanager.models import secretsmanager_backends

from mlops_workbench.sandbox import without_ec2
from mlops_workbench.sandbox.access.calls import Call
from mlops_workbench.sandbox.access.trust import PARTITION, account_of


def key_arn(key_id: str, account: str, region: str) -> str | None:
    """Return the ARN of a KMS key, by its id, its ARN or an alias; ``None`` if there is none."""
    if key_id.startswith("arn:"):
        account, region = account_of(key_id), key_id.split(":")[3]
    backend = kms_backends[account][region]
    name = backend.get_key_id(backend.get_alias_name(key_id))
    if name.startswith("alias/"):
        found = (key for key in backend.keys.values() if name in key.aliases)
        key = next(found, None)
    else:
        key = backend.keys.get(name)
    return str(key.arn) if key else None


def _key(call: Call, account: str, value: Any) -> str | None:
    return key_arn(str(value), account, call.region) or (
        str(value) if str(value).startswith("arn:") else None
    )


def _ciphertext(call: Call, account: str, value: Any) -> str | None:
    """Return the ARN of the key that a ciphertext is of; moto writes the key's id in front of it."""
    try:
        key_id = _deserialize_ciphertext_blob(value).key_id
    except Exception:  # struct.error, UnicodeDecodeError: not a ciphertext, as KMS itself will say
        return None
    for partitions in list(kms_backends.values()):
        if key := partitions[call.region].keys.get(key_id):
            return str(key.arn)
    return None


def _role(call: Call, account: str, value: Any) -> str:
    backend = iam_backends[account][PARTITION]
    for role in list(backend.roles.values()):
        if role.name == value:
            return str(role.arn)
    return f"arn:aws:iam::{account}:role{call.params.get('Path') or '/'}{value}"


def _secret(call: Call, account: str, value: Any) -> str | None:
    name = str(value)
    if name.startswith("arn:"):
        account = account_of(name)
    secret = secretsmanager_backends[account][call.region].secrets.get(name)
    if secret:
        return str(secret.arn)
    return (
        name if name.startswith("arn:") else f"arn:aws:secretsmanager:{call.region}:{account}:secret:{name}"
    )


def _function(call: Call, account: str, value: Any) -> str:
    """Accept a name, ``account:function:name``, an ARN, each with a version or alias behind it."""
    parts = str(value).split(":")
    qualifier = next(iter(call.query.get("Qualifier", [])), None)
    if "function" in parts[:-1]:  # a function may itself be called "function"
        after = parts.index("function") + 1
        name, rest = parts[after], parts[after + 1 :]
        account = parts[after - 2] if after > 1 else account
    else:
        name, rest = parts[0], parts[1:]
    suffix = rest[0] if rest else qualifier
    return f"arn:aws:lambda:{call.region}:{account}:function:{name}" + (f":{suffix}" if suffix else "")


def _queue(call: Call, account: str, value: Any) -> str:
    owner, name = str(value).rstrip("/").rsplit("/", 2)[-2:]
    return f"arn:aws:sqs:{call.region}:{owner if owner.isdigit() else account}:{name}"


def _rule(call: Call, account: str, value: Any) -> str:
    bus = str(call.params.get("EventBusName") or "default").rsplit("/", 1)[-1]
    return str(value) if bus == "default" else f"{bus}/{value}"


def _target(call: Call, account: str, value: Any) -> str:
    """Return the id of a scalable target; the service chooses that of a new one."""
    backend = without_ec2.scaling.applicationautoscaling_backends[account][call.region]
    targets = backend.targets.get(str(call.params.get("ScalableDimension")), {})
    found = targets.get(str(value))
    return str(found.arn.rsplit("/", 1)[-1]) if found else "0" * 36


def _bus(call: Call, account: str, value: Any) -> str:
    return str(value.get("EventBusName") or "default").rsplit("/", 1)[-1]


#: A field of a template in ``resources`` to the function that finds its value.
FIELDS: dict[str, Callable[[Call, str, Any], str | None]] = {
    "build": lambda call, account, value: str(value).rsplit("/", 1)[-1].split(":")[0],
    "bucket": lambda call, account, value: str(call.params["Bucket"]),
    "bus": _bus,
    "ciphertext": _ciphertext,
    "function": _function,
    "group": lambda call, account, value: str(value).removesuffix(":*").rsplit("log-group:", 1)[-1],
    "key": _key,
    "object": lambda call, account, value: str(value["Key"]),
    "parameter": lambda call, account, value: str(value).split(":parameter")[-1].lstrip("/"),
    "path": lambda call, account, value: str(call.params.get("Path") or "/"),
    "pipeline": lambda call, account, value: str(call.params.get("pipelineName") or ""),
    "queue": _queue,
    "registry": lambda call, account, value: str(call.params.get("registryId") or account),
    "role": _role,
    "rule": _rule,
    "secret": _secret,
    "stage": lambda call, account, value: str(call.params.get("stageName") or ""),
    "target": _target,
    "stream": lambda call, account, value: str(call.params.get("logStreamName") or ""),
    "topic": lambda call, account, value: str(value).rsplit(":", 1)[0],
}
