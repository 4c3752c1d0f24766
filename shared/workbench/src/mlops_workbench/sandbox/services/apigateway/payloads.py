"""Which route takes a request, what its function receives, and what the client receives of the function.

[read] API Gateway developer guide, "Routing API requests": a full match with its method, then with ANY,
then a greedy variable, then $default; "Create AWS Lambda proxy integrations for HTTP APIs": payload format
2.0.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, unquote

#: Bodies of these types reach the function as text, all others in base 64.
_TEXT = re.compile(r"text/.*|application/(.*\+)?(json|xml|javascript)", re.IGNORECASE)


@dataclass(frozen=True)
class Match:
    """A route's key and what its variables stand for."""

    key: str
    parameters: dict[str, str]


def match(keys: Iterable[str], method: str, path: str) -> Match | None:
    """Return the route that takes a request, or None.

    Args:
        keys: of the routes, e.g. ``POST /bitbucket/{repository}`` or ``$default``.
        method: e.g. ``POST``.
        path: without the stage, percent-encoded.
    """
    found: list[tuple[tuple[int, int, int], Match]] = []
    for key in keys:
        if key == "$default":
            found.append(((9, 0, 0), Match(key, {})))
            continue
        verb, _, template = key.partition(" ")
        if verb not in (method, "ANY"):
            continue
        fit = re.fullmatch(_expression(template), path)
        if fit is None:
            continue
        variables = {name: unquote(value) for name, value in fit.groupdict().items()}
        greedy = int("+}" in template)
        found.append(((greedy, len(variables), int(verb == "ANY")), Match(key, variables)))
    return min(found, key=lambda entry: entry[0])[1] if found else None


def _expression(template: str) -> str:
    parts = []
    for part in re.split(r"(\{\w+\+?\})", template):
        if part.endswith("+}"):
            parts.append(f"(?P<{part[1:-2]}>.+)")
        elif part.startswith("{"):
            parts.append(f"(?P<{part[1:-1]}>[^/]+)")
        else:
            parts.append(re.escape(part))
    return "".join(parts)


@dataclass(frozen=True)
class Request:
    """A request as it came; header names in lower case."""

    method: str
    query: str
    headers: dict[str, str]
    body: bytes
    protocol: str

    @classmethod
    def read(cls, environ: Mapping[str, Any], limit: int) -> Request | None:
        """Return a WSGI request, or None if its body is longer than the limit."""
        length = int(environ.get("CONTENT_LENGTH") or 0)
        if length > limit:
            return None
        headers = {
            name[5:].replace("_", "-").lower(): str(value)
            for name, value in environ.items()
            if name.startswith("HTTP_")
        }
        for name in ("CONTENT_TYPE", "CONTENT_LENGTH"):
            if environ.get(name):
                headers[name.replace("_", "-").lower()] = str(environ[name])
        stream = environ["wsgi.input"]
        body = stream.read(length) if length else b""
        # A chunked body has no length; werkzeug ends its stream for us.
        if not length and environ.get("wsgi.input_terminated"):
            body = stream.read(limit + 1)
            if len(body) > limit:
                return None
        return cls(
            str(environ["REQUEST_METHOD"]),
            str(environ.get("QUERY_STRING", "")),
            headers,
            body,
            str(environ.get("SERVER_PROTOCOL", "HTTP/1.1")),
        )


@dataclass(frozen=True)
class Context:
    """Where a request arrived; ``path`` with the stage if it is not $default."""

    api_id: str
    account: str
    region: str
    stage: str
    path: str
    request_id: str
    time: float


@dataclass(frozen=True)
class Answer:
    """What the client gets."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes


def message(status: int, text: str) -> Answer:
    """Return an answer of API Gateway itself."""
    body = json.dumps({"message": text}, separators=(",", ":")).encode()
    return Answer(status, [("Content-Type", "application/json")], body)


def event(
    request: Request, route: Match, context: Context, stage_variables: Mapping[str, str]
) -> dict[str, Any]:
    """Return the function's event."""
    headers = {name: value for name, value in request.headers.items() if name != "cookie"}
    document: dict[str, Any] = {
        "version": "2.0",
        "routeKey": route.key,
        "rawPath": context.path,
        "rawQueryString": request.query,
        "headers": headers,
        "requestContext": {
            "accountId": context.account,
            "apiId": context.api_id,
            "domainName": headers.get("host", ""),
            "domainPrefix": context.api_id,
            "http": {
                "method": request.method,
                "path": context.path,
                "protocol": request.protocol,
                "sourceIp": "127.0.0.1",
                "userAgent": headers.get("user-agent", ""),
            },
            "requestId": context.request_id,
            "routeKey": route.key,
            "stage": context.stage,
            "time": time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime(context.time)),
            "timeEpoch": int(context.time * 1000),
        },
        "isBase64Encoded": False,
    }
    if "cookie" in request.headers:
        document["cookies"] = [part.strip() for part in request.headers["cookie"].split(";")]
    if request.query:
        values: dict[str, list[str]] = {}
        for name, value in parse_qsl(request.query, keep_blank_values=True):
            values.setdefault(name, []).append(value)
        document["queryStringParameters"] = {name: ",".join(several) for name, several in values.items()}
    if route.parameters:
        document["pathParameters"] = route.parameters
    if stage_variables:
        document["stageVariables"] = dict(stage_variables)
    if request.body:
        kind = headers.get("content-type", "text/plain").partition(";")[0].strip()
        try:
            if not _TEXT.fullmatch(kind):
                raise ValueError
            document["body"] = request.body.decode()
        except ValueError:
            document["body"] = base64.b64encode(request.body).decode()
            document["isBase64Encoded"] = True
    return document


def answer(payload: Any) -> Answer:
    """Return a function's payload as an HTTP answer; one without ``statusCode`` is a body of JSON.

    Raises:
        ValueError: it is not an answer.
    """
    if not isinstance(payload, Mapping) or "statusCode" not in payload:
        text = payload if isinstance(payload, str) else json.dumps(payload)
        return Answer(200, [("Content-Type", "application/json")], text.encode())
    try:
        status = int(payload["statusCode"])
        body = payload.get("body")
        text = "" if body is None else body if isinstance(body, str) else json.dumps(body)
        data = base64.b64decode(text, validate=True) if payload.get("isBase64Encoded") else text.encode()
        headers = [(str(name), _header(value)) for name, value in (payload.get("headers") or {}).items()]
        headers += [("Set-Cookie", str(cookie)) for cookie in payload.get("cookies") or []]
    except (TypeError, AttributeError, binascii.Error) as error:
        raise ValueError(str(error)) from None
    if not 100 <= status <= 599:
        raise ValueError(f"statusCode: expected an HTTP status, got {status}")
    if not any(name.lower() == "content-type" for name, _ in headers):
        headers.append(("Content-Type", "text/plain; charset=utf-8"))
    # The server counts for itself.
    headers = [(name, value) for name, value in headers if name.lower() != "content-length"]
    return Answer(status, headers, data)


def _header(value: Any) -> str:
    text = str(value).lower() if isinstance(value, bool) else str(value)
    if "\r" in text or "\n" in text:
        raise ValueError("headers: a value has a line break")
    return text
