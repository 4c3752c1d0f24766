"""The page as one document, and the overview as JSON.

Style and script are in files of their own for who reads them, and inside the page for the browser: it loads
nothing else, and the policy allows exactly these two texts.
"""

from __future__ import annotations

import base64
import dataclasses
import hashlib
from importlib.resources import files
from typing import Any

from mlops_workbench.sandbox.organisation import approvals
from mlops_workbench.sandbox.organisation.overview import Overview


def _read(name: str) -> str:
    return files("mlops_workbench.sandbox.console").joinpath(name).read_text("utf-8")


def _digest(text: str) -> str:
    return "'sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() + "'"


_STYLE, _SCRIPT = _read("page.css"), _read("page.js")

PAGE = _read("page.html").replace("/*style*/", _STYLE).replace("/*script*/", _SCRIPT).encode()

CONTENT_SECURITY_POLICY = "; ".join(
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
