"""A request, read as a call: which operation of which service, with which parameters, signed by whom.

The IAM action of an operation is ``service:Operation``, but where AWS's service authorization reference
has another name.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

from moto.core.parse import PROTOCOL_PARSERS
from moto.core.request import Request, determine_request_protocol
from moto.core.routing import get_service_router
from moto.core.utils import get_service_model
from moto.moto_server.werkzeug_app import SIGNING_ALIASES
from werkzeug.exceptions import NotFound

#: The name that a request is signed for, where botocore calls the service's model something else.
_MODELS = {"monitoring": "cloudwatch", "tagging": "resourcegroupstaggingapi"}
_SCOPE = re.compile(r"Credential=([^/\s]+)/\d+/([^/]*)/([^/]+)/aws4_request")
#: botocore's service to IAM's prefix.
PREFIXES = {
    "apigatewayv2": "apigateway",
    "resourcegroupstaggingapi": "tag",
    "sagemaker-runtime": "sagemaker",
    "opensearch": "es",
}

_S3 = {
    "ListBuckets": "ListAllMyBuckets",
    "HeadBucket": "ListBucket",
    "ListObjects": "ListBucket",
    "ListObjectsV2": "ListBucket",
    "ListObjectVersions": "ListBucketVersions",
    "ListMultipartUploads": "ListBucketMultipartUploads",
    "ListParts": "ListMultipartUploadParts",
    "HeadObject": "GetObject",
    "GetObjectAttributes": "GetObject",
    "CopyObject": "PutObject",
    "CreateMultipartUpload": "PutObject",
    "UploadPart": "PutObject",
    "UploadPartCopy": "PutObject",
    "CompleteMultipartUpload": "PutObject",
    "DeleteObjects": "DeleteObject",
    "DeleteBucketTagging": "PutBucketTagging",
    "DeleteBucketOwnershipControls": "PutBucketOwnershipControls",
    "GetBucketEncryption": "GetEncryptionConfiguration",
    "PutBucketEncryption": "PutEncryptionConfiguration",
    "DeleteBucketEncryption": "PutEncryptionConfiguration",
    "GetBucketLifecycleConfiguration": "GetLifecycleConfiguration",
    "PutBucketLifecycleConfiguration": "PutLifecycleConfiguration",
    "DeleteBucketLifecycle": "PutLifecycleConfiguration",
    "GetPublicAccessBlock": "GetBucketPublicAccessBlock",
    "PutPublicAccessBlock": "PutBucketPublicAccessBlock",
    "DeletePublicAccessBlock": "PutBucketPublicAccessBlock",
    "GetBucketNotificationConfiguration": "GetBucketNotification",
    "PutBucketNotificationConfiguration": "PutBucketNotification",
    "GetBucketCors": "GetBucketCORS",
    "PutBucketCors": "PutBucketCORS",
    "DeleteBucketCors": "PutBucketCORS",
    "GetBucketReplication": "GetReplicationConfiguration",
    "PutBucketReplication": "PutReplicationConfiguration",
    "DeleteBucketReplication": "PutReplicationConfiguration",
    "GetBucketAccelerateConfiguration": "GetAccelerateConfiguration",
    "PutBucketAccelerateConfiguration": "PutAccelerateConfiguration",
    "GetObjectLockConfiguration": "GetBucketObjectLockConfiguration",
    "PutObjectLockConfiguration": "PutBucketObjectLockConfiguration",
}
#: Another action where the call names a version.
_S3_VERSIONS = {
    "GetObject": "GetObjectVersion",
    "HeadObject": "GetObjectVersion",
    "DeleteObject": "DeleteObjectVersion",
    "GetObjectTagging": "GetObjectVersionTagging",
    "PutObjectTagging": "PutObjectVersionTagging",
}
_OTHERS = {
    ("lambda", "Invoke"): "InvokeFunction",
    ("lambda", "InvokeWithResponseStream"): "InvokeFunction",
    ("kms", "ReEncrypt"): "ReEncryptFrom",
    ("sqs", "SendMessageBatch"): "SendMessage",
    ("sqs", "DeleteMessageBatch"): "DeleteMessage",
    ("sqs", "ChangeMessageVisibilityBatch"): "ChangeMessageVisibility",
    ("sns", "PublishBatch"): "Publish",
}


@dataclass(frozen=True)
class Call:
    """One request.

    Attributes:
        service: as botocore names its model.
        operation: as botocore names it; the action's name in IAM is sometimes another one.
        params: as botocore names them.
        key_id: of the access key that signs the request.
    """

    service: str
    operation: str
    params: Mapping[str, Any]
    key_id: str
    region: str
    method: str
    path: str
    headers: Mapping[str, str]
    query: Mapping[str, list[str]]


def read(environ: dict[str, Any]) -> Call | None:
    """Read a request; ``None`` for one that is not signed, or for a service that has no model.

    The body of anything but an S3 object is read, and put back for whoever reads it next.
    """
    query = parse_qs(environ.get("QUERY_STRING", ""), keep_blank_values=True)
    credential = query.get("X-Amz-Credential", [""])[0]
    found = _SCOPE.search(environ.get("HTTP_AUTHORIZATION", "") or f"Credential={credential}")
    if not found:
        return None
    key_id, region, signed_for = found.groups()
    path = environ.get("PATH_INFO", "")
    service = _service(signed_for.lower(), path)
    request = _request(environ, service, query)
    try:
        operation, uri_params = _operation(service, request, path)
        params = _params(service, operation, request, uri_params, query)
    except (NotFound, NotImplementedError, LookupError):
        return None
    headers = {name.lower(): value for name, value in request.headers.items()}
    return Call(service, operation, params, key_id, region, request.method, path, headers, query)


def _service(signed_for: str, path: str) -> str:
    name = _MODELS.get(signed_for, SIGNING_ALIASES.get(signed_for, signed_for))
    if name == "sagemaker" and path.endswith(
        ("/invocations", "/async-invocations", "/invocations-response-stream")
    ):
        return "sagemaker-runtime"
    if name == "apigateway" and path.startswith("/v2/"):
        return "apigatewayv2"
    return name


def _request(environ: dict[str, Any], service: str, query: Mapping[str, list[str]]) -> Request:
    if service == "s3" and "delete" not in query:
        # An object may be large, and its content decides nothing.
        return Request({**environ, "wsgi.input": io.BytesIO(), "CONTENT_LENGTH": "0"})
    length = environ.get("CONTENT_LENGTH")
    chunked = environ.get("wsgi.input_terminated")
    body = environ["wsgi.input"].read(*([] if chunked else [int(length or 0)]))
    environ["wsgi.input"] = io.BytesIO(body)
    return Request({**environ, "wsgi.input": io.BytesIO(body), "CONTENT_LENGTH": str(len(body))})


def _operation(service: str, request: Request, path: str) -> tuple[str, dict[str, Any]]:
    if target := request.headers.get("X-Amz-Target"):
        return target.rsplit(".", 1)[-1], {}
    if service not in ("s3", "lambda") and (action := request.values.get("Action")):
        return action, {}
    if found := re.fullmatch(r"/service/[^/]+/operation/([^/]+)", path):
        return found[1], {}
    operation, uri_params = get_service_router(service).match(request)
    return operation.name, dict(uri_params)


def _params(
    service: str,
    operation: str,
    request: Request,
    uri_params: dict[str, Any],
    query: Mapping[str, list[str]],
) -> dict[str, Any]:
    if service == "s3" and "delete" not in query:
        return uri_params
    model = get_service_model(service)
    protocol = determine_request_protocol(model, request.content_type)
    parser = PROTOCOL_PARSERS[protocol](model.operation_model(operation), map_type=dict)
    parsed = parser.parse(
        {
            "method": request.method,
            "values": request.values,
            "headers": request.headers,
            "body": request.get_data(),
            "url_path": request.path,
            "url_params": uri_params,
        }
    )
    return {**uri_params, **(parsed or {})}


def action_of(call: Call) -> str:
    """Return the action that a call's policy must allow, such as ``lambda:InvokeFunction``."""
    prefix = PREFIXES.get(call.service, call.service)
    if prefix == "apigateway":
        # This service's actions are the HTTP methods.
        return f"apigateway:{call.method}"
    if call.service == "s3":
        versioned = "versionId" in call.query and _S3_VERSIONS.get(call.operation)
        return "s3:" + (versioned or _S3.get(call.operation, call.operation))
    return f"{prefix}:{_OTHERS.get((call.service, call.operation), call.operation)}"
