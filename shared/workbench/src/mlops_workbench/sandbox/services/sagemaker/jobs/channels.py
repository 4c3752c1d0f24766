"""Data into a job and out of it: S3 to folders, folders to S3.

File mode for all: Pipe is not offered by the Hugging Face images, and FastFile looks like File to a script
that reads its files once.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from mlops_workbench.sandbox.errors import JobFailed
from mlops_workbench.sandbox.services.sagemaker import s3


@dataclass(frozen=True)
class Source:
    """Where the data of a channel or an input is.

    Attributes:
        uri: a prefix, or the manifest.
        manifest: whether ``uri`` is a manifest file.
        sharded: whether each host gets its part of the objects, not all.
    """

    uri: str
    manifest: bool = False
    sharded: bool = False

    @classmethod
    def of(cls, source: dict[str, Any]) -> Source:
        """Read S3DataType and S3DataDistributionType of an S3DataSource or a processing job's S3Input.

        Raises:
            JobFailed: a data type that the sandbox does not have.
        """
        kind = source.get("S3DataType", "S3Prefix")
        if kind not in ("S3Prefix", "ManifestFile"):
            raise JobFailed(f"ClientError: S3DataType: expected S3Prefix or ManifestFile, got {kind}")
        distribution = source.get("S3DataDistributionType", "FullyReplicated")
        return cls(source["S3Uri"], kind == "ManifestFile", distribution == "ShardedByS3Key")


@dataclass(frozen=True)
class Item:
    """One object, and the path that it gets below the channel's folder."""

    bucket: str
    key: str
    path: str


def find(client: Any, source: Source, *, host: int = 0, hosts: int = 1) -> list[Item]:
    """List the objects of a source that one of ``hosts`` hosts gets.

    Raises:
        JobFailed: there are none under the URI, or the manifest is not one.
    """
    items = _in_manifest(client, source.uri) if source.manifest else _under_prefix(client, source.uri)
    if not items:
        raise JobFailed(f"ClientError: no objects under {source.uri}")
    return items[host::hosts] if source.sharded else items


def fetch(client: Any, items: Iterable[Item], folder: Path) -> int:
    """Download objects below a folder, which is made even when there are none; return their number."""
    folder.mkdir(parents=True, exist_ok=True)
    count = 0
    for item in items:
        path = folder / item.path
        if not path.resolve().is_relative_to(folder.resolve()):
            raise JobFailed(f"ClientError: s3://{item.bucket}/{item.key} would be written outside its folder")
        path.parent.mkdir(parents=True, exist_ok=True)
        s3.download(client, item.bucket, item.key, str(path))
        count += 1
    return count


def send(client: Any, folder: Path, uri: str) -> int:
    """Upload all files below a folder, hidden ones included; return their number."""
    count = 0
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            s3.upload(client, str(path), s3.join(uri, path.relative_to(folder).as_posix()))
            count += 1
    return count


def _under_prefix(client: Any, uri: str) -> list[Item]:
    """Give each key its path below the prefix.

    The part of the key after the prefix's last slash stays: for the prefix ``s3://b/data/train``, the object
    ``data/train/a.csv`` becomes ``a.csv``, ``data/train.csv`` becomes ``train.csv``, and so does a prefix
    that is the key of one object.
    """
    bucket, prefix = s3.split(uri)
    parent = prefix[: prefix.rfind("/") + 1]
    items = []
    for key in s3.keys(client, uri):
        folder = prefix.rstrip("/") + "/"
        inside = prefix and key.startswith(folder)
        items.append(Item(bucket, key, key[len(folder) if inside else len(parent) :]))
    return items


def _in_manifest(client: Any, uri: str) -> list[Item]:
    """Read ``[{"prefix": "s3://bucket/path/"}, "relative/key", …]`` (S3DataSource, ManifestFile)."""
    try:
        document = json.loads(s3.read(client, uri))
        prefix = document[0]["prefix"]
        names = [str(PurePosixPath(name)) for name in document[1:]]
    except (ValueError, KeyError, IndexError, TypeError):
        expected = '[{"prefix": "s3://bucket/path/"}, "relative/key", …]'
        raise JobFailed(f"ClientError: {uri}: expected a manifest, {expected}") from None
    items = []
    for name in names:
        bucket, key = s3.split(prefix + name)
        items.append(Item(bucket, key, name))
    return items
