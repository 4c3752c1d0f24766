"""What git itself makes for a client: archives by `git archive`, its smart HTTP by `git http-backend`."""

import io
import os
import subprocess
import time
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from bitbucket_data_center.faults import Faults
from bitbucket_data_center.store import Repository

ARCHIVE_TYPES = {
    "zip": "application/zip",
    "tar": "application/x-tar",
    "tar.gz": "application/x-gzip",
    "tgz": "application/x-gzip",
}
CHUNK_BYTES = 16 * 1024


class BrokenOff(Exception):
    """The connection is to end here."""


def archive(repository: Repository, commit: str, kind: str, prefix: str) -> bytes:
    """Return the archive of a commit."""
    options = [f"--format={kind}", *([f"--prefix={prefix.rstrip('/')}/"] if prefix else [])]
    command = ["git", "-C", str(repository.folder), "archive", *options, commit]
    return subprocess.run(command, check=True, capture_output=True).stdout


def chunks(made: bytes, faults: Faults) -> tuple[Iterator[bytes], int | None]:
    """Return the chunks of an archive, or of what a fault makes of it, and the length to announce.

    Bitbucket makes an archive while it sends it, so it announces no length.
    """
    if faults.archive_bytes is not None:
        return _huge(faults.archive_bytes), None
    body = made if faults.archive_body is None else faults.archive_body
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


@dataclass(frozen=True)
class CgiAnswer:
    """What the program answered."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes


def is_push(path: str, query: str) -> bool:
    """Tell whether a request is part of a push."""
    return path.endswith("/git-receive-pack") or "service=git-receive-pack" in query


def http_backend(
    repository: Repository, method: str, path: str, query: str, headers: Mapping[str, str], body: bytes
) -> CgiAnswer:
    """Answer a request by this CGI program; `path` is what follows the repository in the URL."""
    environment = {
        "PATH": os.environ.get("PATH", os.defpath),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_HTTP_EXPORT_ALL": "1",
        "GIT_PROJECT_ROOT": str(repository.folder.parent),
        "PATH_INFO": f"/{repository.folder.name}{path}",
        "REQUEST_METHOD": method,
        "QUERY_STRING": query,
        "CONTENT_TYPE": headers.get("Content-Type", ""),
        "CONTENT_LENGTH": str(len(body)),
        "HTTP_CONTENT_ENCODING": headers.get("Content-Encoding", ""),
        "GIT_PROTOCOL": headers.get("Git-Protocol", ""),
        "REMOTE_USER": "tester",
        "REMOTE_ADDR": "127.0.0.1",
    }
    done = subprocess.run(
        ["git", "http-backend"], input=body, env=environment, capture_output=True, check=False
    )
    head, _, answer = done.stdout.partition(b"\r\n\r\n")
    status, sent = 200, []
    for line in head.decode("latin-1").split("\r\n"):
        name, _, value = line.partition(": ")
        if name == "Status":
            status = int(value.split()[0])
        elif name:
            sent.append((name, value))
    if not head:
        return CgiAnswer(500, [("Content-Type", "text/plain")], done.stderr)
    return CgiAnswer(status, sent, answer)
