"""Requests to an HTTP API: found by host or path, given to the route's Lambda function, and logged.

An API answers at ``https://<id>.execute-api.<region>.amazonaws.com`` on AWS. Here the same name in ``Host``
reaches it, or ``http://127.0.0.1:PORT/_execute-api/<id>/<path>``. Its throttling is not applied.
"""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote

from moto.apigatewayv2.models import Api, Stage, apigatewayv2_backends

from mlops_workbench.sandbox.aws.apigatewayv2 import access_log, integrations, payloads
from mlops_workbench.sandbox.aws.apigatewayv2.routes import Match, match
from mlops_workbench.sandbox.service import EXECUTE_API, Application, StartResponse

_PATH = re.compile(r"/_execute-api/([a-z0-9]+)(/.*)?", re.DOTALL)
#: Bytes; the service's limit of a request's body.
MAX_BODY = 10 * 1024 * 1024

Answer = payloads.Answer


@dataclass(frozen=True)
class Found:
    """An API, where it is, and the stage and path of a request."""

    api: Api
    account: str
    region: str
    stage: Stage
    path: str


def execute_api(application: Application) -> Application:
    """Take the requests to HTTP APIs out of those to AWS."""

    def call(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        target = _target(environ)
        if target is None:
            return application(environ, start_response)
        answer = _serve(environ, *target)
        reason = HTTPStatus(answer.status).phrase if answer.status in list(HTTPStatus) else "Unknown"
        start_response(f"{answer.status} {reason}", answer.headers)
        return [answer.body]

    return call


def _target(environ: dict[str, Any]) -> tuple[str, str] | None:
    """Return the API's id and the path as it was sent, or None."""
    sent = str(environ.get("RAW_URI") or environ.get("REQUEST_URI") or environ.get("PATH_INFO") or "/")
    sent = sent.partition("?")[0] or "/"
    host = str(environ.get("HTTP_HOST", "")).rsplit(":", 1)[0]
    if by_host := EXECUTE_API.fullmatch(host):
        return by_host[1], sent
    if by_path := _PATH.fullmatch(sent):
        return by_path[1], by_path[2] or "/"
    return None


def _serve(environ: dict[str, Any], api_id: str, path: str) -> Answer:
    found = _find(api_id, path)
    if found is None:
        return payloads.message(404, "Not Found")
    began = time.time()
    request = payloads.Request.read(environ, MAX_BODY)
    request_id = str(uuid.uuid4())
    route: Match | None = None
    problem = ""
    if request is None:
        answer = payloads.message(413, "Request Entity Too Large")
    else:
        keys = [entry.route_key for entry in found.api.routes.values()]
        route = match(keys, request.method, found.path)
        if route is None:
            answer = payloads.message(404, "Not Found")
        else:
            context = payloads.Context(
                api_id, found.account, found.region, found.stage.name, path, request_id, began
            )
            stage_variables = found.stage.stage_variables or {}
            event = payloads.event(request, route, context, stage_variables)
            answer, problem = integrations.call(found.api, route.key, context, event)
    access_log.write(
        found.stage.access_log_settings,
        found.account,
        found.region,
        {
            "requestId": request_id,
            "extendedRequestId": request_id,
            "apiId": api_id,
            "stage": found.stage.name,
            "accountId": found.account,
            "httpMethod": str(environ.get("REQUEST_METHOD", "")),
            "path": unquote(path),
            "routeKey": route.key if route else "",
            "protocol": str(environ.get("SERVER_PROTOCOL", "")),
            "status": str(answer.status),
            "responseLength": str(len(answer.body)),
            "responseLatency": str(int(1000 * (time.time() - began))),
            "requestTime": time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime(began)),
            "requestTimeEpoch": str(int(began * 1000)),
            "identity.sourceIp": "127.0.0.1",
            "identity.userAgent": str(environ.get("HTTP_USER_AGENT", "")),
            "integrationErrorMessage": problem,
            "integration.error": problem,
        },
    )
    return answer


def _find(api_id: str, path: str) -> Found | None:
    """Return the API and the stage of a path; $default has no name in the path."""
    for account, region, _ in apigatewayv2_backends.iter_backends():
        api = apigatewayv2_backends[account][region].apis.get(api_id)
        if api is None:
            continue
        first, _, rest = path.lstrip("/").partition("/")
        if first in api.stages:
            return Found(api, account, region, api.stages[first], f"/{rest}")
        if "$default" in api.stages:
            return Found(api, account, region, api.stages["$default"], path)
    return None
