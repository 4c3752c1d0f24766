"""The few questions that the engine asks of S3."""

from __future__ import annotations

import json
import re
from typing import Any

from botocore.exceptions import ClientError

from mlops_workbench.sandbox.services.sagemaker.pipelines.model import ExpressionError


def split_uri(uri: str) -> tuple[str, str]:
    """Return (bucket, key) of ``s3://bucket/key``.

    Raises:
        ValueError: it is not such a URI.
    """
    match = re.fullmatch(r"s3://([^/]+)/?(.*)", uri, re.DOTALL)
    if not match:
        raise ValueError(f"expected s3://BUCKET/KEY, got {uri!r}")
    return match[1], match[2]


def any_objects(client: Any, uri: str) -> bool:
    """Tell whether there is an object at or under an S3 URI."""
    try:
        bucket, key = split_uri(uri)
        return bool(client.list_objects_v2(Bucket=bucket, Prefix=key, MaxKeys=1).get("Contents"))
    except (ValueError, ClientError):
        return False


def read_json(client: Any, uri: str) -> Any:
    """Return a JSON document in S3, parsed.

    Raises:
        ExpressionError: there is none, or it is not JSON.
    """
    try:
        bucket, key = split_uri(uri)
        body = client.get_object(Bucket=bucket, Key=key)["Body"].read()
    except ValueError as error:
        raise ExpressionError(f"Std:JsonGet: {error}") from None
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "")
        raise ExpressionError(f"Std:JsonGet: cannot read {uri} ({code}); did the step write it?") from None
    try:
        return json.loads(body)
    except ValueError as error:
        raise ExpressionError(f"Std:JsonGet: {uri} is not JSON: {error}") from None


def read_text(client: Any, bucket: str, key: str, version: str | None = None) -> str:
    """Return an object's content as text.

    Raises:
        ValueError: it cannot be read, or is not UTF-8.
    """
    request = {"Bucket": bucket, "Key": key} | ({"VersionId": version} if version else {})
    try:
        text: str = client.get_object(**request)["Body"].read().decode("utf-8")
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "")
        raise ValueError(f"cannot read s3://{bucket}/{key} ({code})") from None
    return text
