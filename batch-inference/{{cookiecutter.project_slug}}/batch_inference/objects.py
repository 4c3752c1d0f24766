"""An environment's bucket as people use it: files go up, answers come down."""

import json
import os
import uuid
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from boto3.exceptions import S3UploadFailedError
from botocore.exceptions import ClientError

from configuration import UserError
from release.aws import code, plain_errors

from .summary import Summary

_GONE = frozenset({"404", "NoSuchKey", "NoSuchVersion"})
_TOKEN = "upload"  # metadata that tells our upload from another one under the same name
OUTPUT = Path("results")


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


class Answers(NamedTuple):
    """Answers on this machine.

    Attributes:
        path: the file.
        summary: its summary, which lies beside it.
        published: whether they are also in the output folder; not, if a newer upload was answered first.
    """

    path: Path
    summary: Summary
    published: bool


def fetch(s3: Any, bucket: str, prefix: str, execution_id: str, folder: Path) -> Answers:
    """The answers of an execution that has succeeded, out of its own folder: nobody's later ones.

    Args:
        s3: the client.
        bucket: of the environment.
        prefix: of published answers, below which their path is kept on this machine.
        execution_id: of the execution.
        folder: where they go.

    Raises:
        UserError: they are not there (any more), or cannot be written here.
    """
    work = f"work/{execution_id}"
    request = read_json(s3, bucket, f"{work}/request/request.json")
    if request is None:
        raise UserError(
            f"s3://{bucket}/{work}/: expected the answers of execution {execution_id}, found nothing"
        )
    key = request["result_key"]
    there = look(s3, bucket, key)
    published = there is not None and there.metadata.get("execution-id") == execution_id
    path, summary = _bring(
        s3,
        bucket,
        f"{work}/result/{request['result']}",
        f"{work}/result/summary.json",
        local_path(folder, prefix, key),
    )
    return Answers(path, summary, published)


def fetch_published(
    s3: Any, bucket: str, prefix: str, result_key: str, summary_key: str, folder: Path
) -> Answers:
    """The answers that are in the output folder.

    Raises:
        UserError: as `fetch`.
    """
    path, summary = _bring(s3, bucket, result_key, summary_key, local_path(folder, prefix, result_key))
    return Answers(path, summary, True)


def local_path(folder: Path, prefix: str, key: str) -> Path:
    """The same path below the folder, and never above it: whoever may upload has chosen the name."""
    parts = [part for part in PurePosixPath(key.removeprefix(prefix)).parts if part not in ("..", "/")]
    return folder.joinpath(*parts)


def _bring(s3: Any, bucket: str, result: str, summary: str, path: Path) -> tuple[Path, Summary]:
    document = read_json(s3, bucket, summary)
    if document is None:
        raise UserError(f"s3://{bucket}/{summary}: expected a summary, found nothing there")
    read = Summary.of(document, f"s3://{bucket}/{summary}")
    download(s3, bucket, summary, path.with_name(f"{path.name}.summary.json"))
    download(s3, bucket, result, path)
    return path, read
