"""An environment's bucket as people use it: files go up, answers come down."""

import json
import os
import uuid
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from boto3.exceptions import S3UploadFailedError
from botocore.exceptions import ClientError

from configuration.errors import UserError
from release.aws import code, plain_errors

_GONE = frozenset({"404", "NoSuchKey", "NoSuchVersion"})
_TOKEN = "upload"  # metadata that tells our upload from another one under the same name


class Uploaded(NamedTuple):
    """A version of a file below the input prefix."""

    key: str
    version_id: str
    moment: datetime  # by S3's clock


class Stored(NamedTuple):
    """An object without its content."""

    key: str
    size: int
    moment: datetime
    metadata: dict[str, str] = {}


def upload(s3: Any, bucket: str, key: str, path: Path, progress: Callable[[int], None]) -> Uploaded:
    """Uploads a file, large ones in parts.

    Args:
        progress: told how many bytes have gone up since it was told last; from several threads.

    Raises:
        UserError: S3 does not take it.
    """
    token = uuid.uuid4().hex
    with plain_errors(f"s3://{bucket}/{key}"):
        try:
            extra = {"Metadata": {_TOKEN: token}}
            s3.upload_file(str(path), bucket, key, ExtraArgs=extra, Callback=progress)
        except S3UploadFailedError as error:  # boto3's own; the cause is in its text
            raise UserError(f"s3://{bucket}/{key}: {' '.join(str(error).split())}") from error
        # boto3 does not say which version it made, and somebody else may have uploaded another one since
        for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=key):
            for found in page.get("Versions", []):
                if found["Key"] != key:
                    continue
                version = found["VersionId"]
                head = s3.head_object(Bucket=bucket, Key=key, VersionId=version)
                if head["Metadata"].get(_TOKEN) == token:
                    return Uploaded(key, version, head["LastModified"])
    raise UserError(f"s3://{bucket}/{key}: it was deleted as soon as it was there")


def look(s3: Any, bucket: str, key: str) -> Stored | None:
    """What an object is now; None when it is not there.

    Raises:
        UserError: these credentials may not look, or there is no such bucket.
    """
    with plain_errors(f"s3://{bucket}/{key}"):
        try:
            found = s3.head_object(Bucket=bucket, Key=key)
        except ClientError as error:
            if code(error) in _GONE:
                return None
            raise
    return Stored(key, found["ContentLength"], found["LastModified"], found["Metadata"])


def below(s3: Any, bucket: str, prefix: str) -> Iterator[Stored]:
    """The objects below a prefix, by name.

    Raises:
        UserError: these credentials may not list them, or there is no such bucket.
    """
    with plain_errors(f"s3://{bucket}/{prefix}"):
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
            for found in page.get("Contents", []):
                yield Stored(found["Key"], found["Size"], found["LastModified"])


def read_json(s3: Any, bucket: str, key: str) -> dict[str, Any] | None:
    """A JSON object that the pipeline has written; None when it is not there.

    Raises:
        UserError: it may not be read, or is no JSON object.
    """
    with plain_errors(f"s3://{bucket}/{key}"):
        try:
            body = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        except ClientError as error:
            if code(error) in _GONE:
                return None
            raise
    try:
        document = json.loads(body)
    except ValueError:
        document = None
    if not isinstance(document, dict):
        raise UserError(f"s3://{bucket}/{key}: expected a JSON object, got something else")
    return document


def download(s3: Any, bucket: str, key: str, path: Path) -> None:
    """Brings an object to this machine, whole or not at all.

    Raises:
        UserError: it may not be read, or cannot be written here.
    """
    part = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with plain_errors(f"s3://{bucket}/{key}"):
            s3.download_file(bucket, key, str(part))
        os.replace(part, path)
    except OSError as error:
        raise UserError(f"{path}: expected a place to write the answers to, got: {error}") from error
    finally:
        part.unlink(missing_ok=True)
