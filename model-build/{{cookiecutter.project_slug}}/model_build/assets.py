"""Files of this repository that jobs read from S3, under keys that are made of their content.

The same content always gets the same URI, so two builds of one commit give the same pipeline definition and
SageMaker's step caching works; changed content gets a new URI, so a running execution never sees it.
"""

import gzip
import hashlib
import importlib.util
import io
import tarfile
import zipfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import botocore.exceptions

from configuration import UserError

CODE_ARCHIVE = "sourcedir.tar.gz"


@dataclass(frozen=True)
class Asset:
    """Files that belong together under one S3 prefix.

    Attributes:
        name: what it is, for messages.
        uri: `s3://bucket/kind/digest`, without a slash at the end.
        files: key below the prefix -> a file on this machine, or its bytes.
    """

    name: str
    uri: str
    files: dict[str, Path | bytes]


def code(bucket: str, folder: Path, libraries: Iterable[str] = ()) -> Asset:
    """The step scripts with their packages, one by one and as the archive that the training toolkit unpacks.

    Args:
        bucket: where they go.
        folder: with the scripts.
        libraries: packages that the images do not have; each goes along as serving/NAME.zip, to be imported
            from: that folder travels in a model, too.
    """
    scripts = {name: path for name, path in _files_below(folder).items() if name.endswith(".py")}
    scripts |= {f"serving/{name}.zip": library(name) for name in libraries}
    if not scripts:
        raise UserError(f"{folder}: expected the step scripts (*.py), found none")
    uri = f"s3://{bucket}/code/{_digest(scripts.items())}"
    return Asset("code", uri, {**scripts, CODE_ARCHIVE: _archive(scripts)})


def training_code(bucket: str, scripts: Asset, wheels: Mapping[str, Path]) -> Asset:
    """The step scripts with wheels beside them, in wheels/: what the training job unpacks.

    An archive of its own, so that the other steps neither fetch the wheels nor run again when these change.

    Args:
        bucket: where it goes.
        scripts: what `code` made.
        wheels: file name -> file.
    """
    files: dict[str, Path | bytes] = {
        name: body for name, body in scripts.files.items() if name != CODE_ARCHIVE
    }
    files |= {f"wheels/{name}": path for name, path in wheels.items()}
    uri = f"s3://{bucket}/code/{_digest(files.items())}"
    # Wheels are compressed already: more effort takes seconds and gains nothing.
    return Asset("training code", uri, {CODE_ARCHIVE: _archive(files, effort=1)})


def library(name: str) -> bytes:
    """An installed package of Python files alone, as an archive that depends on names and contents only.

    Raises:
        UserError: it is not installed.
    """
    found = importlib.util.find_spec(name)
    if found is None or found.origin is None:
        raise UserError(
            f"requirements/model.txt: expected the package {name} to be installed; run `make setup`"
        )
    folder = Path(found.origin).parent
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as archive:  # what holds it is compressed
        for path in sorted(folder.rglob("*.py")):
            entry = zipfile.ZipInfo(path.relative_to(folder.parent).as_posix())  # of 1980, by anybody
            archive.writestr(entry, path.read_bytes())
    return packed.getvalue()


def data(bucket: str, name: str, path: Path) -> Asset:
    """A file, or every file of a folder, as a prefix."""
    if not path.exists():
        raise UserError(f"{path}: expected a file or a folder with the {name}, found nothing there")
    files: dict[str, Path | bytes] = {path.name: path} if path.is_file() else _files_below(path)
    if not files:
        raise UserError(f"{path}: expected files with the {name}, found an empty folder")
    return Asset(name, f"s3://{bucket}/data/{_digest(files.items())}", files)


def base_model(bucket: str, folder: Path) -> Asset:
    """Weights, configuration and tokenizer of a model folder (what `from_pretrained` reads, nothing else)."""
    wanted = (".json", ".safetensors", ".bin", ".txt", ".model")
    files: dict[str, Path | bytes] = {
        path.name: path for path in sorted(folder.iterdir()) if path.is_file() and path.suffix in wanted
    }
    return Asset("base model", f"s3://{bucket}/base-models/{_digest(files.items())}", files)


def upload(assets: Iterable[Asset], s3: Any, kms_key_arn: str | None, say: Callable[[str], None]) -> None:
    """Put every file that is not there yet; encrypted with the key, else with the bucket's default.

    Raises:
        UserError: the bucket cannot be written, with the service's reason.
    """
    extra = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": kms_key_arn} if kms_key_arn else {}
    for asset in assets:
        bucket, prefix = split_uri(asset.uri)
        try:
            present = _sizes(s3, bucket, prefix)
            missing = {name: body for name, body in asset.files.items() if present.get(name) != _size(body)}
            if missing:
                size = sum(_size(body) for body in missing.values())
                say(f"uploading {asset.name}: {_files(len(missing))}, {_bytes(size)} -> {asset.uri}")
            for name, body in missing.items():
                source = io.BytesIO(body) if isinstance(body, bytes) else body.open("rb")
                with source:
                    s3.upload_fileobj(source, bucket, f"{prefix}/{name}", ExtraArgs=extra)
        except (botocore.exceptions.ClientError, botocore.exceptions.BotoCoreError) as error:
            raise UserError(f"{asset.uri}: could not upload the {asset.name}: {error}") from error


def split_uri(uri: str) -> tuple[str, str]:
    """`s3://bucket/a/b` -> `("bucket", "a/b")`."""
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    return bucket, key


def digest_of(*parts: str) -> str:
    """16 hexadecimal digits that change when any of the parts does."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def _files_below(folder: Path) -> dict[str, Path | bytes]:
    paths = (path for path in sorted(folder.rglob("*")) if path.is_file())
    named = {path.relative_to(folder).as_posix(): path for path in paths}
    return {
        name: path
        for name, path in named.items()
        if not any(part.startswith(".") for part in name.split("/"))
    }


def _digest(files: Iterable[tuple[str, Path | bytes]]) -> str:
    """16 hexadecimal digits over names and contents, read in pieces so that large data fits."""
    whole = hashlib.sha256()
    for name, body in sorted(files, key=lambda item: item[0]):
        part = hashlib.sha256()
        if isinstance(body, bytes):
            part.update(body)
        else:
            with body.open("rb") as source:
                while piece := source.read(1 << 20):
                    part.update(piece)
        whole.update(f"{name}\0{part.hexdigest()}\n".encode())
    return whole.hexdigest()[:16]


def _archive(files: dict[str, Path | bytes], effort: int = 9) -> bytes:
    """A tar.gz that depends on names and contents only: no times, owners or order of the file system."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name, body in sorted(files.items()):
            content = body if isinstance(body, bytes) else body.read_bytes()
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), 0o644
            archive.addfile(entry, io.BytesIO(content))
    return gzip.compress(packed.getvalue(), effort, mtime=0)


def _size(body: Path | bytes) -> int:
    return len(body) if isinstance(body, bytes) else body.stat().st_size


def _files(count: int) -> str:
    return "1 file" if count == 1 else f"{count} files"


def _bytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB" if size >= 1e6 else f"{max(1, round(size / 1e3))} kB"


def _sizes(s3: Any, bucket: str, prefix: str) -> dict[str, int]:
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"{prefix}/")
    objects = (item for page in pages for item in page.get("Contents", []))
    return {item["Key"][len(prefix) + 1 :]: item["Size"] for item in objects}
