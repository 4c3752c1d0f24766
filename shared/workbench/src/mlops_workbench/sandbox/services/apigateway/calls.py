"""HTTP APIs: their stages, and the requests to them, which are given to a function and logged.

moto 5.2.5 has no UpdateStage, knows no address for the tags of a stage, and keeps them in the stage alone.

An API answers at ``https://<id>.execute-api.<region>.amazonaws.com`` on AWS. Here the same name in
``Host`` reaches it, or ``http://127.0.0.1:PORT/_execute-api/<id>/<path>``. The function of a route is
called if its policy admits the API. The access log has its format with ``$context`` variables, and its log
group. An API's throttling is not applied.
"""

from __future__ import annotations

import contextlib
import json
import re
import time
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote

from botocore.exceptions import BotoCoreError, ClientError
from moto.apigatewayv2 import urls
from moto.apigatewayv2.models import Api, ApiGatewayV2Backend, Stage, apigatewayv2_backends
from moto.apigatewayv2.responses import ApiGatewayV2Response
from moto.awslambda.models import LambdaFunction, lambda_backends
from moto.core.common_types import TYPE_RESPONSE
from werkzeug.exceptions import HTTPException

from mlops_workbench.sandbox.containers.functions import run
from mlops_workbench.sandbox.errors import AccessDenied, JobStopped
from mlops_workbench.sandbox.iam import decide
from mlops_workbench.sandbox.iam.acting import as_account
from mlops_workbench.sandbox.service import EXECUTE_API, Application, StartResponse
from mlops_workbench.sandbox.services.apigateway import payloads
from mlops_workbench.sandbox.services.apigateway.payloads import Match, match
from mlops_workbench.sandbox.session import current

_TAGS = "{0}/v2/tags/(?P<arn>[^/]+)/apis/(?P<api_id>[^/]+)/stages/(?P<stage>[^/]+)$"
_STAGE = re.compile(r"arn:.*::/apis/([^/]+)/stages/([^/]+)")
_CHANGEABLE = {
    "accessLogSettings": "access_log_settings",
    "autoDeploy": "auto_deploy",
    "clientCertificateId": "client_certificate_id",
    "defaultRouteSettings": "default_route_settings",
    "description": "description",
    "routeSettings": "route_settings",
    "stageVariables": "stage_variables",
}
_PATH = re.compile(r"/_execute-api/([a-z0-9]+)(/.*)?", re.DOTALL)
#: Bytes; the service's limit of a request's body.
MAX_BODY = 10 * 1024 * 1024

Answer = payloads.Answer
_FUNCTION = re.compile(r"arn:[\w-]+:lambda:[\w-]+:\d{12}:function:[\w-]+(?::[\w$-]+)?")
PRINCIPAL = "apigateway.amazonaws.com"
_VARIABLE = re.compile(r"\$context\.([\w.]+)")


def install() -> None:
    """Add UpdateStage, and let TagResource and UntagResource reach stages."""
    urls.url_paths[_TAGS] = ApiGatewayV2Response.dispatch
    tag, untag = ApiGatewayV2Backend.tag_resource, ApiGatewayV2Backend.untag_resource

    def update_stage(self: ApiGatewayV2Response) -> TYPE_RESPONSE:
        *_, api_id, _, name = self.path.split("/")
        stage = self.apigatewayv2_backend.get_api(api_id).get_stage(unquote(name))
        for key, value in json.loads(self.body).items():
            if key in _CHANGEABLE:
                setattr(stage, _CHANGEABLE[key], value)
        stage.updated = datetime.now()
        return 200, {}, json.dumps(stage.to_json())

    def tag_resource(self: ApiGatewayV2Backend, resource_arn: str, tags: dict[str, str]) -> None:
        if stage := _stage(self, resource_arn):
            stage.tags = {**stage.tags, **tags}
        else:
            tag(self, resource_arn, tags)

    def untag_resource(self: ApiGatewayV2Backend, resource_arn: str, tag_keys: list[str]) -> None:
        if stage := _stage(self, resource_arn):
            stage.tags = {key: value for key, value in stage.tags.items() if key not in tag_keys}
        else:
            untag(self, resource_arn, tag_keys)

    ApiGatewayV2Response.update_stage = update_stage  # type: ignore[attr-defined]
    ApiGatewayV2Backend.tag_resource = tag_resource  # type: ignore[method-assign]
    ApiGatewayV2Backend.untag_resource = untag_resource  # type: ignore[method-assign]


def _stage(backend: ApiGatewayV2Backend, arn: str) -> Stage | None:
    found = _STAGE.fullmatch(arn)
    return backend.get_api(found[1]).get_stage(found[2]) if found else None


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
            answer, problem = call_function(found.api, route.key, context, event)
    write_access_log(
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


def call_function(
    api: Api, route_key: str, context: payloads.Context, event: dict[str, Any]
) -> tuple[payloads.Answer, str]:
    """Return the answer to a request, and for the access log what went wrong or ""."""
    function_arn, problem = _function_arn(api, route_key)
    if problem:
        return payloads.message(500, "Internal Server Error"), problem
    route = "$default" if route_key == "$default" else route_key.replace(" ", "")
    # The route's path as it was written: a policy may name POST/bitbucket/{repository}.
    source = (
        f"arn:aws:execute-api:{context.region}:{context.account}:{context.api_id}/{context.stage}/{route}"
    )
    action = "lambda:InvokeFunction"
    if why := decide.refusal(function_arn, PRINCIPAL, action, source, context.account):
        return payloads.message(500, "Internal Server Error"), why
    return _invoke(_function(function_arn), event)


def _function_arn(api: Api, route_key: str) -> tuple[str, str]:
    route = next(entry for entry in api.routes.values() if entry.route_key == route_key)
    integration = api.integrations.get((route.target or "").removeprefix("integrations/"))
    if integration is None:
        return "", "the route has no integration"
    found = _FUNCTION.search(integration.integration_uri or "")
    if integration.integration_type != "AWS_PROXY" or not found:
        return "", f"the sandbox calls Lambda functions only, not {integration.integration_uri}"
    if integration.payload_format_version not in (None, "2.0"):
        return "", f"payload format: expected 2.0, got {integration.payload_format_version}"
    return found[0], ""


def _function(function_arn: str) -> LambdaFunction:
    _, _, _, region, account, _, name = function_arn.split(":")[:7]
    return lambda_backends[account][region].get_function(name)


def _invoke(function: LambdaFunction, event: dict[str, Any]) -> tuple[payloads.Answer, str]:
    failed = payloads.message(500, "Internal Server Error")
    try:
        invocation, _ = run(function, event, current().work.stopping)
    except (AccessDenied, HTTPException) as error:
        return failed, str(error)
    except JobStopped:
        return payloads.message(503, "Service Unavailable"), "the sandbox is closing"
    if invocation.error is not None:
        return failed, str(invocation.error.get("errorMessage", ""))
    try:
        return payloads.answer(invocation.payload), ""
    except ValueError as error:
        return failed, f"the function's answer: {error}"


def access_log_line(format_: str, values: Mapping[str, str]) -> str:
    """Return a format filled in; a variable without a value becomes ``-``."""
    return _VARIABLE.sub(lambda found: values.get(found[1]) or "-", format_)


def write_access_log(
    settings: Mapping[str, Any] | None, account: str, region: str, values: Mapping[str, str]
) -> None:
    """Write a line to the stage's log group, if it has one that exists."""
    named = {key[0].lower() + key[1:]: value for key, value in (settings or {}).items()}
    if not named.get("destinationArn"):
        return
    group = str(named["destinationArn"]).split(":log-group:", 1)[-1].removesuffix(":*")
    client = as_account("logs", account, region)
    stream = f"{values['apiId']}-{values['stage'].strip('$')}"
    text = access_log_line(str(named.get("format") or "$context.requestId"), values)
    try:
        with contextlib.suppress(client.exceptions.ResourceAlreadyExistsException):
            client.create_log_stream(logGroupName=group, logStreamName=stream)
        entry = {"timestamp": int(time.time() * 1000), "message": text}
        client.put_log_events(logGroupName=group, logStreamName=stream, logEvents=[entry])
    except (ClientError, BotoCoreError):
        pass
