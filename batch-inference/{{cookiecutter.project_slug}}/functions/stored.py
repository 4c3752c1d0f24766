"""Objects in the data bucket: exact versions, copies of any size, and writes that undo nobody else's.

Nothing here says how to encrypt: the bucket's own default does, with the key of its environment. An error is
a sentence for a person, because it becomes a step's FailureReason.
"""

import json
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import Any, Literal, NamedTuple

from botocore.exceptions import BotoCoreError, ClientError

Level = Literal["INFO", "WARNING", "ERROR"]

PART = 256 * 1024**2  # bytes; S3 takes up to 5 GB in one request, and smaller parts are copied side by side
MOST_PARTS = 10_000  # [read] Amazon S3, "Multipart upload limits"
SIDE_BY_SIDE = 8

# [read] HeadObject: 405 is a version that is a delete marker; 400 covers version ids that were never given
_GONE = frozenset({"404", "NoSuchKey", "NoSuchVersion", "405", "MethodNotAllowed"})

# [read] S3, "Conditional requests": somebody wrote before us, or is writing at the same moment
_CHANGED = frozenset({"PreconditionFailed", "412", "ConditionalRequestConflict", "409"})


class Refused(Exception):
    """The file is not answered; the text is one sentence that says why, and what to do."""


@contextmanager
def explained(what: str) -> Iterator[None]:
    """Turns what boto3 raises into one sentence that begins with `what` was touched.

    Raises:
        Refused: AWS did not answer as wished.
    """
    try:
        yield
    except (ClientError, BotoCoreError) as error:
        raise Refused(f"{what}: {' '.join(str(error).split())}") from error


def code(error: ClientError) -> str:
    """AWS's name for an error, such as AccessDenied; a status such as 404 where an answer has no body."""
    return str(error.response.get("Error", {}).get("Code", ""))


def log(level: Level, message: str, **fields: object) -> None:
    """One JSON object on a line, for CloudWatch Logs Insights: names and counts, never a file's content."""
    sys.stdout.write(json.dumps({"level": level, "message": message, **fields}, default=str) + "\n")
    sys.stdout.flush()


class Overtaken(Exception):
    """The object is no longer as it was when it was looked at."""


class Found(NamedTuple):
    """An object's version, without its content."""

    version_id: str
    etag: str
    size: int
    last_modified: datetime
    metadata: dict[str, str]


def look(s3: Any, bucket: str, key: str, version_id: str | None = None) -> Found | None:
    """A version of an object, the newest one unless another is named; None when it is not there (any more).

    Needs s3:ListBucket, without which S3 does not tell what is missing from what is forbidden.
    """
    which = {"VersionId": version_id} if version_id else {}
    with explained(f"s3://{bucket}/{key}"):
        try:
            found = s3.head_object(Bucket=bucket, Key=key, **which)
        except ClientError as error:
            if code(error) in _GONE or (version_id and code(error) in ("400", "InvalidArgument")):
                return None
            raise
    # an object that is older than the bucket's versioning has the version "null"
    version = version_id or found.get("VersionId", "null")
    return Found(
        version, found["ETag"], found["ContentLength"], found["LastModified"], found.get("Metadata", {})
    )


def versions(s3: Any, bucket: str, key: str) -> Iterator[str]:
    """The ids of a key's versions, the newest first: S3 lists them in the order in which it stored them."""
    with explained(f"s3://{bucket}/{key}"):
        for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=key):
            for found in page.get("Versions", []):
                if found["Key"] != key:  # sorted by key: a.csv comes before a.csv.gz
                    return
                yield found["VersionId"]


def read_json(s3: Any, bucket: str, key: str) -> dict[str, Any]:
    """A JSON object that this pipeline has written."""
    with explained(f"s3://{bucket}/{key}"):
        document: dict[str, Any] = json.loads(s3.get_object(Bucket=bucket, Key=key)["Body"].read())
    return document


def write_once(s3: Any, bucket: str, key: str, document: dict[str, Any]) -> dict[str, Any]:
    """Writes a JSON object if it is not there yet; returns the one that is there then."""
    body = json.dumps(document, indent=2, ensure_ascii=False).encode()
    with explained(f"s3://{bucket}/{key}"):
        try:
            s3.put_object(Bucket=bucket, Key=key, Body=body, ContentType="application/json", IfNoneMatch="*")
            return document
        except ClientError as error:
            if code(error) not in _CHANGED:
                raise
    return read_json(s3, bucket, key)


def copy(
    s3: Any,
    source: tuple[str, str, Found],
    target: str,
    *,
    instead_of: Found | None,
    part: int = PART,
    **more: Any,
) -> None:
    """Copies a version of an object within its bucket, in place of exactly `instead_of` (None: of nothing).

    In parts whatever the size: CopyObject ends at 5 GB, takes the tags along, and takes no conditions in the
    boto3 of older Lambda runtimes.

    Args:
        s3: the client.
        source: bucket, key and version.
        target: the key of the copy.
        instead_of: what is at the target now.
        part: bytes in a part, at least.
        more: arguments of CreateMultipartUpload, such as Metadata.

    Raises:
        Overtaken: something else is at the target now.
        Refused: S3 does not copy it.
    """
    bucket, key, version = source
    condition = {"IfMatch": instead_of.etag} if instead_of else {"IfNoneMatch": "*"}
    place: dict[str, Any] = {"Bucket": bucket, "Key": target}
    with explained(f"s3://{bucket}/{key} to s3://{bucket}/{target}"):
        try:
            if version.size == 0:  # has no part
                s3.put_object(**place, Body=b"", **more, **condition)
                return
            upload = {**place, "UploadId": s3.create_multipart_upload(**place, **more)["UploadId"]}
            try:
                parts = _copy_parts(s3, source, upload, max(part, -(-version.size // MOST_PARTS)))
                s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts}, **condition)
            except BaseException:
                with suppress(ClientError, BotoCoreError):  # the first error is the one to tell
                    s3.abort_multipart_upload(**upload)
                raise
        except ClientError as error:
            if code(error) in _CHANGED:
                raise Overtaken from error
            if code(error) in _GONE:
                raise Refused(f"s3://{bucket}/{key}: it was deleted while it was copied") from error
            if code(error) == "InvalidObjectState":
                raise Refused(
                    f"s3://{bucket}/{key}: it is in an archive; restore it, or upload it again"
                ) from error
            raise


def _copy_parts(
    s3: Any, source: tuple[str, str, Found], upload: dict[str, Any], part: int
) -> list[dict[str, Any]]:
    bucket, key, version = source
    origin = {"Bucket": bucket, "Key": key, "VersionId": version.version_id}

    def one(start: int) -> dict[str, Any]:
        number = start // part + 1
        answer = s3.upload_part_copy(
            **upload,
            PartNumber=number,
            CopySource=origin,
            CopySourceRange=f"bytes={start}-{min(start + part, version.size) - 1}",
        )
        return {"PartNumber": number, "ETag": answer["CopyPartResult"]["ETag"]}

    with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        return list(pool.map(one, range(0, version.size, part)))
