"""S3 as jobs and endpoints use it: URIs, listings, transfers, and ``.tar.gz`` archives."""

from __future__ import annotations

import re
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from boto3.s3.transfer import TransferConfig
from botocore.exceptions import ClientError

from mlops_workbench.sandbox.errors import JobFailed

#: A model of the usual size in one request: in parts, this process would cut it up and put it together again,
#: with several copies in memory at a time.
_TRANSFER = TransferConfig(multipart_threshold=256 * 1024 * 1024, use_threads=False)
_URI = re.compile(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:/(.*))?", re.DOTALL)


def split(uri: str) -> tuple[str, str]:
    """Return the bucket and the key, or prefix, of ``s3://bucket/key``.

    Raises:
        JobFailed: it is not an S3 URI.
    """
    match = _URI.fullmatch(uri)
    if not match:
        raise JobFailed(f"ClientError: expected an S3 URI, s3://bucket/prefix, got {uri!r}")
    return match[1], match[2] or ""


def join(prefix: str, *parts: str) -> str:
    """Return a URI below a prefix."""
    return "/".join([prefix.rstrip("/"), *parts])


def keys(client: Any, uri: str) -> Iterator[str]:
    """Yield the keys that start with the URI's prefix, in order, without the markers of folders.

    Raises:
        JobFailed: the bucket cannot be listed.
    """
    bucket, prefix = split(uri)
    try:
        for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
            for entry in page.get("Contents", []):
                if not entry["Key"].endswith("/"):
                    yield entry["Key"]
    except ClientError as error:
        raise _failed(f"list {uri}", error) from None


def read(client: Any, uri: str) -> bytes:
    """Return an object's bytes.

    Raises:
        JobFailed: there is no such object, or it cannot be read.
    """
    bucket, key = split(uri)
    try:
        body: bytes = client.get_object(Bucket=bucket, Key=key)["Body"].read()
    except ClientError as error:
        raise _failed(f"read {uri}", error) from None
    return body


def download(client: Any, bucket: str, key: str, path: str) -> None:
    """Write an object to a file.

    Raises:
        JobFailed: there is no such object, or it cannot be read.
    """
    try:
        client.download_file(bucket, key, path, Config=_TRANSFER)
    except ClientError as error:
        raise _failed(f"read s3://{bucket}/{key}", error) from None


def upload(client: Any, path: str, uri: str, kms_key: str | None = None) -> None:
    """Write a file to an object, encrypted with a key of AWS KMS if one is named.

    Raises:
        JobFailed: the object cannot be written.
    """
    bucket, key = split(uri)
    encryption = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": kms_key} if kms_key else {}
    try:
        client.upload_file(path, bucket, key, ExtraArgs=encryption, Config=_TRANSFER)
    except Exception as error:  # boto3 wraps a ClientError in an S3UploadFailedError
        raise _failed(f"write {uri}", error) from None


def _failed(what: str, error: Exception) -> JobFailed:
    return JobFailed(f"ClientError: cannot {what}: {error}")


def pack(folders: list[Path], archive: Path) -> int:
    """Write the content of folders into one archive; return the number of entries at its top.

    Of two entries of the same name the one in the earlier folder stays.
    """
    seen: set[str] = set()
    # Level 0, gzip without compression: weights hardly compress (90 MB to 83), and level 1 takes 14 times as
    # long to find that out, and five times as long to unpack.
    with tarfile.open(archive, "w:gz", compresslevel=0) as tar:
        for folder in folders:
            for path in sorted(folder.iterdir()) if folder.is_dir() else []:
                if path.name not in seen:
                    seen.add(path.name)
                    tar.add(path, path.name)
    return len(seen)


def unpack(archive: Path, folder: Path, origin: str) -> None:
    """Extract an archive that someone else made.

    Raises:
        JobFailed: it is not a tar archive, or an entry leads out of the folder; ``origin`` names it in the
            message.
    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with tarfile.open(archive) as tar:
            # "data" refuses absolute paths, links to the outside, devices (PEP 706).
            tar.extractall(folder, filter="data")
    except (tarfile.TarError, EOFError, OSError) as error:
        raise JobFailed(f"ClientError: {origin}: expected a .tar.gz archive: {error}") from None
