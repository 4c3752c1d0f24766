"""What the page shows: itself as one document, the overview as JSON, logs as lines, and objects of S3.

Style and script are in files of their own for who reads them, and inside the page for the browser: it
loads nothing else, and the policy allows exactly these two texts.

An object is a report that somebody is asked to look at before an answer. What a build has written is not
the page's own: it is shown as a document of an origin of its own that runs no script, loads nothing and
sends no form (``sandbox`` of the Content-Security-Policy). A type that a browser does not show by itself
is offered as a file.
"""

from __future__ import annotations

import base64
import dataclasses
import hashlib
from collections.abc import Iterable, Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import quote

from botocore.exceptions import BotoCoreError, ClientError

from mlops_workbench.sandbox.errors import SandboxError
from mlops_workbench.sandbox.organisation import activity, approvals
from mlops_workbench.sandbox.organisation.overview import Overview
from mlops_workbench.sandbox.organisation.record import OBJECTS, Organisation, log_path

OBJECT_POLICY = "; ".join(
    [
        "sandbox",
        "default-src 'none'",
        # A report is one file, with its style and its pictures inside.
        "style-src 'unsafe-inline'",
        "img-src data:",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    ]
)
#: Types that are shown; the ending of the key counts, for what was stored without a type.
_SHOWN = {
    ".html": "text/html; charset=utf-8",
    ".txt": "text/plain; charset=utf-8",
    ".log": "text/plain; charset=utf-8",
    ".json": "application/json",
    ".csv": "text/plain; charset=utf-8",
    ".png": "image/png",
    ".jpg": "image/jpeg",
}
_BLOCK = 1 << 16  # bytes

Headers = list[tuple[str, str]]


def _read(name: str) -> str:
    return files("mlops_workbench.sandbox.console").joinpath(name).read_text("utf-8")


def _digest(text: str) -> str:
    return "'sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() + "'"


_STYLE, _SCRIPT = _read("page.css"), _read("page.js")

PAGE = _read("page.html").replace("/*style*/", _STYLE).replace("/*script*/", _SCRIPT).encode()

PAGE_POLICY = "; ".join(
    [
        "default-src 'none'",
        f"style-src {_digest(_STYLE)}",
        f"script-src {_digest(_SCRIPT)}",
        "connect-src 'self'",
        "img-src data:",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    ]
)


def as_json(overview: Overview) -> dict[str, Any]:
    """Return what the page shows; tokens that answer an approval stay here."""
    document = dataclasses.asdict(overview)
    document["approvals"] = [approvals.describe(approval) for approval in overview.approvals]
    for pipeline in document["pipelines"]:
        for stage in pipeline["stages"]:
            for action in stage["actions"]:
                del action["token"]
    return document


def log_lines(organisation: Organisation, kind: str, account: str, identifier: str) -> Iterator[str]:
    """Return the log of a "job", a "build" or the "sandbox" itself.

    Raises:
        LookupError: there is none; the message says what there is none of.
    """
    if kind == "sandbox":
        return _file(log_path(Path(organisation.folder)))
    if kind == "job":
        return _file(_job(organisation, account, identifier))
    if kind == "build":
        return _build(organisation, account, identifier)
    raise LookupError(f"expected the kind job, build or sandbox, got {kind!r}")


def _job(organisation: Organisation, account: str, name: str) -> Path:
    jobs = Path(organisation.folder, "jobs").resolve()
    # Jobs of the first account have their name alone, as the sandbox's folder does.
    folder = name if account in ("", organisation.shared_services) else f"{name}@{account}"
    path = (jobs / folder / "log.txt").resolve()
    # One folder below jobs/, whatever the name contains, and wherever a link leads.
    if path.parent.parent != jobs or not path.is_file():
        raise LookupError(f"no job {name!r} has a log")
    return path


def _file(path: Path) -> Iterator[str]:
    if not path.is_file():
        raise LookupError(f"no log {path.name}")

    def read() -> Iterator[str]:
        with path.open(encoding="utf-8", errors="replace") as text:
            for line in text:
                yield line.rstrip("\n")

    return read()


def _build(organisation: Organisation, account: str, identifier: str) -> Iterator[str]:
    try:
        found = activity.build_log(
            organisation.client("codebuild", account), organisation.client("logs", account), identifier
        )
        return iter(list(found))
    except (SandboxError, ClientError, BotoCoreError) as error:
        raise LookupError(f"the log of build {identifier!r}: {error}") from None


def read_object(organisation: Organisation, path: str) -> tuple[Headers, Iterable[bytes]]:
    """Return the headers and the bytes for ``/objects/ACCOUNT/BUCKET/KEY``.

    Args:
        organisation: which runs.
        path: as WSGI has it: unquoted, its bytes as Latin-1.

    Raises:
        LookupError: there is no such object; the message says which.
    """
    text = path.encode("latin-1").decode("utf-8", "replace").removeprefix(OBJECTS)
    account, _, rest = text.partition("/")
    bucket, _, key = rest.partition("/")
    if not bucket or not key:
        raise LookupError(f"expected {OBJECTS}ACCOUNT/BUCKET/KEY")
    try:
        found = organisation.client("s3", account).get_object(Bucket=bucket, Key=key)
    except (SandboxError, ClientError, BotoCoreError) as error:
        raise LookupError(f"s3://{bucket}/{key} of account {account}: {error}") from None
    ending = key[key.rfind(".") :].lower()
    headers = [
        ("Content-Type", _SHOWN.get(ending, "application/octet-stream")),
        ("Content-Length", str(found["ContentLength"])),
        ("Content-Security-Policy", OBJECT_POLICY),
    ]
    if ending not in _SHOWN:
        name = quote(key.rsplit("/", 1)[-1])
        headers.append(("Content-Disposition", f"attachment; filename*=UTF-8''{name}"))
    return headers, found["Body"].iter_chunks(_BLOCK)
