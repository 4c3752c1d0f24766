"""Archives: what `git archive` makes of a commit, or what a fault makes of it."""

import io
import os
import subprocess
import time
import zipfile
from collections.abc import Iterator

from bitbucket_data_center.faults import Faults
from bitbucket_data_center.store import Repository

TYPES = {
    "zip": "application/zip",
    "tar": "application/x-tar",
    "tar.gz": "application/x-gzip",
    "tgz": "application/x-gzip",
}
CHUNK_BYTES = 16 * 1024


class BrokenOff(Exception):
    """The connection is to end here."""


def make(repository: Repository, commit: str, kind: str, prefix: str) -> bytes:
    """Return the archive of a commit."""
    options = [f"--format={kind}", *([f"--prefix={prefix.rstrip('/')}/"] if prefix else [])]
    command = ["git", "-C", str(repository.folder), "archive", *options, commit]
    return subprocess.run(command, check=True, capture_output=True).stdout


def send(archive: bytes, faults: Faults) -> tuple[Iterator[bytes], int | None]:
    """Return the chunks of an archive and the length to announce.

    Bitbucket makes an archive while it sends it, so it announces no length.
    """
    if faults.archive_bytes is not None:
        return _huge(faults.archive_bytes), None
    body = archive if faults.archive_body is None else faults.archive_body
    if faults.break_off:
        return _half(body), len(body) if faults.break_off == "length" else None
    return _chunks(body, faults.drip), None


def _chunks(body: bytes, drip: float) -> Iterator[bytes]:
    size = 8 if drip else CHUNK_BYTES
    for start in range(0, len(body), size):
        if drip:
            time.sleep(drip)
        yield body[start : start + size]


def _half(body: bytes) -> Iterator[bytes]:
    yield body[: len(body) // 2]
    raise BrokenOff


def _huge(count: int) -> Iterator[bytes]:
    """Yield a valid zip of one file of random bytes, which do not compress."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("data.bin", os.urandom(count))
    yield from _chunks(buffer.getvalue(), 0)
