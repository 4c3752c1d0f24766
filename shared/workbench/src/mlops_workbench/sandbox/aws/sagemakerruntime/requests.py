"""Requests to endpoints, taken before they reach moto and outside the gate.

A request may take a minute and hundreds come at a time: none holds up a snapshot. What it changes in the
state (metrics) takes the gate by itself.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any

from mlops_workbench.sandbox.access import guard
from mlops_workbench.sandbox.endpoints.invocations import InvocationError, Request, invoke
from mlops_workbench.sandbox.jobs.serving import CUSTOM_ATTRIBUTES
from mlops_workbench.sandbox.service import EXECUTE_API, Application, StartResponse

_PATH = re.compile(r"/endpoints/([^/]+)/(invocations|async-invocations|invocations-response-stream)")
_VARIANT = "x-Amzn-Invoked-Production-Variant"
#: [read] developer guide, "Deploy models with Amazon SageMaker Serverless Inference".
_NOT_SERVERLESS = {
    "async-invocations": "asynchronous inference is not supported for serverless endpoints",
    "invocations-response-stream": "response streaming is not supported for serverless endpoints",
}


def runtime(application: Application) -> Application:
    """Take the requests to endpoints out of those to AWS."""
    serve = guard.guarded(_serve)

    def call(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        named = _PATH.fullmatch(environ.get("PATH_INFO", ""))
        host = environ.get("HTTP_HOST", "").rsplit(":", 1)[0]
        if named and environ.get("REQUEST_METHOD") == "POST" and not EXECUTE_API.fullmatch(host):
            return serve(environ, start_response)
        return application(environ, start_response)

    return call


def _serve(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
    found = _PATH.fullmatch(environ["PATH_INFO"])
    assert found is not None
    name, kind = found.groups()
    body = environ["wsgi.input"].read()
    try:
        if kind in _NOT_SERVERLESS:
            raise InvocationError("ValidationError", 400, f"Endpoint {name}: {_NOT_SERVERLESS[kind]}.")
        result = invoke(
            Request(
                environ[guard.ACCOUNT],
                environ[guard.REGION],
                name,
                body,
                environ.get("CONTENT_TYPE", ""),
                environ.get("HTTP_ACCEPT", ""),
                environ.get("HTTP_X_AMZN_SAGEMAKER_CUSTOM_ATTRIBUTES", ""),
                environ.get("HTTP_X_AMZN_SAGEMAKER_TARGET_VARIANT", ""),
            )
        )
    except InvocationError as error:
        members = {"Message": str(error), **error.more}
        headers = {"Content-Type": "application/json", "x-amzn-ErrorType": error.code}
        return _answer(start_response, error.status, json.dumps(members).encode(), headers)
    headers = {"Content-Type": result.answer.content_type, _VARIANT: result.variant}
    if result.answer.custom_attributes:
        headers[CUSTOM_ATTRIBUTES] = result.answer.custom_attributes
    return _answer(start_response, 200, result.answer.body, headers)


def _answer(
    start_response: StartResponse, status: int, body: bytes, headers: dict[str, str]
) -> Iterable[bytes]:
    always = {"Content-Length": str(len(body)), "x-amzn-RequestId": str(uuid.uuid4())}
    start_response(f"{status} {HTTPStatus(status).phrase}", [*headers.items(), *always.items()])
    return [body]
