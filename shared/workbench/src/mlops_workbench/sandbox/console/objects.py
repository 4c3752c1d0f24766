"""An object of S3 in the browser: a report that somebody is asked to look at before an answer.

What a build has written is not the page's own: it is shown as a document of an origin of its own that runs
no script, loads nothing and sends no form (``sandbox`` of the Content-Security-Policy). A type that a browser
does not show by itself is offered as a file.
"""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import quote

from botocore.exceptions import BotoCoreError, ClientError

from mlops_workbench.sandbox.errors import SandboxError
from mlops_workbench.sandbox.organisation.links import OBJECTS
from mlops_workbench.sandbox.organisation.record import Organisation

CONTENT_SECURITY_POLICY = "; ".join(
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


def read(organisation: Organisation, path: str) -> tuple[Headers, Iterable[bytes]]:
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
        ("Content-Security-Policy", CONTENT_SECURITY_POLICY),
    ]
    if ending not in _SHOWN:
        name = quote(key.rsplit("/", 1)[-1])
        headers.append(("Content-Disposition", f"attachment; filename*=UTF-8''{name}"))
    return headers, found["Body"].iter_chunks(_BLOCK)
