"""The condition keys of a request. One that is not here is absent, as one that does not apply is in IAM."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from mlops_workbench.sandbox.iam.calls import Call
from mlops_workbench.sandbox.iam.documents import Context, context_of
from mlops_workbench.sandbox.iam.policies import Identity, find_role, owner_of

Values = dict[str, str | bool | list[str] | tuple[str, ...] | None]

#: Keys of S3 that hold a header or a part of the query of the same name.
_S3_HEADERS = (
    "x-amz-acl",
    "x-amz-copy-source",
    "x-amz-metadata-directive",
    "x-amz-server-side-encryption",
    "x-amz-server-side-encryption-aws-kms-key-id",
    "x-amz-storage-class",
    "if-none-match",
    "if-match",
)
_S3_QUERY = ("prefix", "delimiter", "max-keys", "versionId")


def context(call: Call, identity: Identity, resource: str | None, more: Values | None = None) -> Context:
    """Return all keys that the sandbox knows for a call on a resource."""
    values = {**_everywhere(identity, call.region, resource), **_of_service(call)}
    if call.service == "iam" and (role := find_role(resource or "")) is not None:
        # [read] For a role that is there the key is the boundary that it has, unless the call sets another.
        values["iam:PermissionsBoundary"] = (
            values["iam:PermissionsBoundary"] or role.permissions_boundary_arn or None
        )
    return context_of({**values, **(more or {})})


def plain_context(
    identity: Identity, region: str, resource: str | None, more: Mapping[str, str] | None = None
) -> Context:
    """Return the keys that every request has, and more."""
    return context_of({**_everywhere(identity, region, resource), **(more or {})})


def service_context(service: str, resource: str, source_arn: str, source_account: str) -> Context:
    """Return the keys of what a service does on a resource, given its ARN, for another resource."""
    return context_of(
        {
            **_times(),
            "aws:PrincipalIsAWSService": True,
            "aws:PrincipalServiceName": service,
            "aws:RequestedRegion": resource.split(":")[3],
            "aws:ResourceAccount": owner_of(resource),
            "aws:SecureTransport": True,
            "aws:SourceAccount": source_account,
            "aws:SourceArn": source_arn,
        }
    )


def _times() -> Values:
    now = datetime.now(UTC)
    return {
        "aws:CurrentTime": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "aws:EpochTime": str(int(now.timestamp())),
    }


def _everywhere(identity: Identity, region: str, resource: str | None) -> Values:
    principal = identity.principal
    return {
        **_times(),
        "aws:PrincipalAccount": principal.account,
        "aws:PrincipalArn": identity.arn,
        "aws:PrincipalIsAWSService": False,
        "aws:PrincipalType": "AssumedRole" if principal.role else "User",
        "aws:RequestedRegion": region,
        "aws:ResourceAccount": owner_of(resource) or principal.account,
        # Requests here come over loopback without TLS; in AWS the same clients use it.
        "aws:SecureTransport": True,
        "aws:SourceIp": "127.0.0.1",
        "aws:ViaAWSService": False,
        "aws:userid": identity.user_id or None,
        "aws:username": identity.user_name,
        **{f"aws:PrincipalTag/{key}": value for key, value in identity.tags},
    }


def _of_service(call: Call) -> Values:
    params = call.params
    values: Values = _tags(params)
    if call.service == "s3":
        values |= {f"s3:{name}": call.headers.get(name) for name in _S3_HEADERS}
        values |= {f"s3:{name}": call.query.get(name) for name in _S3_QUERY}
        if call.operation.startswith("ListObject"):
            # A listing without a prefix counts as one with an empty prefix.
            values["s3:prefix"] = call.query.get("prefix", [""])
        values["s3:TlsVersion"] = "1.3"
    elif call.service == "sagemaker":
        variants = [each for each in params.get("ProductionVariants") or [] if isinstance(each, dict)]
        serverless = [each["ServerlessConfig"] for each in variants if each.get("ServerlessConfig")]
        values |= {
            "sagemaker:ModelApprovalStatus": params.get("ModelApprovalStatus"),
            "sagemaker:ServerlessMemorySize": [str(each["MemorySizeInMB"]) for each in serverless] or None,
            "sagemaker:ServerlessMaxConcurrency": [str(each["MaxConcurrency"]) for each in serverless]
            or None,
            "sagemaker:InstanceTypes": [each["InstanceType"] for each in variants if "InstanceType" in each]
            or None,
        }
    elif call.service == "iam":
        values |= {
            "iam:PolicyARN": params.get("PolicyArn"),
            "iam:PermissionsBoundary": params.get("PermissionsBoundary"),
        }
    elif call.service == "sts":
        values |= {
            "sts:ExternalId": params.get("ExternalId"),
            "sts:RoleSessionName": params.get("RoleSessionName"),
        }
    elif call.service == "kms":
        key_id = str(params.get("KeyId") or "")
        values["kms:RequestAlias"] = key_id.split(":")[-1] if "alias/" in key_id else None
        encryption: dict[str, str] = params.get("EncryptionContext") or {}
        values |= {f"kms:EncryptionContext:{key}": value for key, value in encryption.items()}
        values["kms:GrantIsForAWSResource"] = False if call.operation == "CreateGrant" else None
    elif call.service == "application-autoscaling":
        values |= {
            "application-autoscaling:service-namespace": params.get("ServiceNamespace"),
            "application-autoscaling:scalable-dimension": params.get("ScalableDimension"),
        }
    elif call.service == "cloudwatch":
        values["cloudwatch:namespace"] = params.get("Namespace")
    elif call.service == "secretsmanager":
        values["secretsmanager:SecretId"] = params.get("SecretId")
    return values


def _tags(params: Any) -> Values:
    """Return the tags that a call gives: a list of keys and values, or a mapping."""
    tags = params.get("Tags") or params.get("tags") or {}
    if isinstance(tags, list):
        pairs = [
            (each.get("Key") or each.get("key"), each.get("Value") or each.get("value")) for each in tags
        ]
    else:
        pairs = list(tags.items())
    found: Values = {f"aws:RequestTag/{key}": str(value or "") for key, value in pairs if key}
    if pairs:
        found["aws:TagKeys"] = [str(key) for key, _ in pairs if key]
    return found
