"""Calling the Lambda function of a route, if the function's policy admits the API."""

from __future__ import annotations

import re
from typing import Any

from moto.apigatewayv2.models import Api
from moto.awslambda.models import LambdaFunction, lambda_backends
from werkzeug.exceptions import HTTPException

from mlops_workbench.sandbox.access import admission
from mlops_workbench.sandbox.aws.apigatewayv2 import payloads
from mlops_workbench.sandbox.errors import AccessDenied, JobStopped
from mlops_workbench.sandbox.jobs.lambdas import run
from mlops_workbench.sandbox.session import current

_FUNCTION = re.compile(r"arn:[\w-]+:lambda:[\w-]+:\d{12}:function:[\w-]+(?::[\w$-]+)?")
PRINCIPAL = "apigateway.amazonaws.com"


def call(
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
    if why := admission.refusal(function_arn, PRINCIPAL, action, source, context.account):
        return payloads.message(500, "Internal Server Error"), why
    return _invoke(_find(function_arn), event)


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


def _find(function_arn: str) -> LambdaFunction:
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
