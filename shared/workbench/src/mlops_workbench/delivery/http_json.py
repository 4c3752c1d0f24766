"""Requests to Bitbucket that answer JSON, or an error that says what came instead."""

import json
import ssl
from collections.abc import Mapping
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, HTTPSHandler, Request, build_opener

from .errors import DeliveryError, first_line

TIMEOUT_SECONDS = 30
LARGEST_ANSWER = 8 * 1024 * 1024


class RequestFailed(DeliveryError):
    """Bitbucket refused; `status` is the HTTP status."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class _NoRedirect(HTTPRedirectHandler):
    """urllib would send the token along to wherever a redirect leads."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


def request(
    method: str,
    url: str,
    token: str,
    ca_file: str | None,
    body: Mapping[str, Any] | None = None,
) -> Any:
    """The answer's JSON; None when it has no body.

    Raises:
        RequestFailed: an HTTP status that is not 2xx.
        DeliveryError: no answer, or one that is not JSON.
    """
    place = f"{method} {url.partition('?')[0]}"
    if not token.isascii() or not token.isprintable() or " " in token:
        raise DeliveryError("BITBUCKET_TOKEN: expected printable characters without spaces")
    data = None if body is None else json.dumps(body).encode()
    headers = {
        "Authorization": f"Bearer {token}",
        "Accept": "application/json",
        "X-Atlassian-Token": "no-check",
    }
    if data is not None:
        headers["Content-Type"] = "application/json"
    try:
        context = ssl.create_default_context(cafile=ca_file)
    except (OSError, ssl.SSLError) as error:
        raise DeliveryError(f"{ca_file}: expected certificates in PEM format: {error}") from error
    opener = build_opener(_NoRedirect, HTTPSHandler(context=context))
    try:
        with opener.open(Request(url, data, headers, method=method), timeout=TIMEOUT_SECONDS) as answer:
            text = answer.read(LARGEST_ANSWER)
    except HTTPError as error:
        raise RequestFailed(f"{place}: {_reason(error)}", error.code) from error
    except (URLError, OSError, HTTPException) as error:
        reason = getattr(error, "reason", error)
        raise DeliveryError(f"{place}: no answer from {urlsplit(url).netloc}: {reason}") from error
    if not text.strip():
        return None
    try:
        return json.loads(text)
    except ValueError:
        raise DeliveryError(
            f"{place}: expected JSON, got {text[:60]!r}; is this Bitbucket's address?"
        ) from None


def _reason(error: HTTPError) -> str:
    """What a refusal says, in Data Center's form (`errors`) or the Cloud's (`error`)."""
    try:
        document = json.loads(error.read(LARGEST_ANSWER))
        said = document.get("errors") or [document.get("error") or {}]
        text = "; ".join(str(one.get("message")) for one in said if one.get("message"))
    except (ValueError, AttributeError, OSError, HTTPException):
        text = ""
    hint = {
        301: "it redirects; is bitbucket.url in config/project.yaml complete?",
        302: "it redirects, as to a page for signing in; is bitbucket.url in config/project.yaml right?",
        401: "BITBUCKET_TOKEN is wrong or has expired",
        403: "BITBUCKET_TOKEN lacks a permission",
    }.get(error.code, "")
    return f"HTTP {error.code}: " + (first_line(" ".join((text, f"({hint})" if hint else ""))))
