"""InvokeEndpoint: one request through an instance, with the service's limits and errors.

[read] API reference of InvokeEndpoint; developer guide, "Deploy models with Amazon SageMaker Serverless
Inference": 4 MB and 60 seconds. The seconds are the model's: the start of an instance is not among them.

Requests are taken before they reach moto (which answers all of them with the same text) and outside the
gate: one may take a minute and hundreds come at a time, and none holds up a snapshot. What it changes in
the state (metrics) takes the gate by itself.
"""

from __future__ import annotations

import json
import re
import time
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from moto.sagemaker.models import sagemaker_backends

from mlops_workbench.sandbox.errors import JobStopped
from mlops_workbench.sandbox.gate import STATE
from mlops_workbench.sandbox.iam import guard
from mlops_workbench.sandbox.service import EXECUTE_API, Application, StartResponse
from mlops_workbench.sandbox.services.sagemaker.endpoints.fleet import (
    Fleet,
    Invocation,
    Serving,
    invoked,
    tell_memory,
    throttled,
)
from mlops_workbench.sandbox.services.sagemaker.endpoints.instance import Instance, StartFailed, group_of
from mlops_workbench.sandbox.services.sagemaker.endpoints.pool import Ended, Lease, Throttled
from mlops_workbench.sandbox.services.sagemaker.endpoints.records import Endpoint
from mlops_workbench.sandbox.services.sagemaker.serving import CUSTOM_ATTRIBUTES, Answer
from mlops_workbench.sandbox.session import current

MAX_BODY = 4 * 1024 * 1024  # bytes
TIMEOUT = 60.0  # seconds
#: In these statuses something serves.
_SERVING = ("InService", "Updating", "SystemUpdating", "RollingBack")
_TIMED_OUT = (
    "Your invocation timed out while waiting for a response from container primary. Review the latency "
    "metrics for each container in Amazon CloudWatch, resolve the issue, and try again."
)
_PATH = re.compile(r"/endpoints/([^/]+)/(invocations|async-invocations|invocations-response-stream)")
_VARIANT = "x-Amzn-Invoked-Production-Variant"
#: [read] developer guide, "Deploy models with Amazon SageMaker Serverless Inference".
_NOT_SERVERLESS = {
    "async-invocations": "asynchronous inference is not supported for serverless endpoints",
    "invocations-response-stream": "response streaming is not supported for serverless endpoints",
}


@dataclass(frozen=True)
class Request:
    """What a caller sends."""

    account: str
    region: str
    endpoint: str
    body: bytes
    content_type: str = ""
    accept: str = ""
    custom_attributes: str = ""
    target_variant: str = ""


@dataclass(frozen=True)
class Result:
    """What the model answered, and which variant it was."""

    answer: Answer
    variant: str


class InvocationError(Exception):
    """A refusal.

    Attributes:
        code: as botocore names it.
        status: the HTTP status.
        more: members of the error besides the message.
    """

    def __init__(self, code: str, status: int, message: str, **more: Any) -> None:
        super().__init__(message)
        self.code, self.status, self.more = code, status, more


@dataclass
class _Times:
    """Seconds: when a request came, and what its parts took."""

    began: float = field(default_factory=time.monotonic)
    setup: float = 0.0
    model: float = 0.0


def invoke(request: Request) -> Result:
    """Serve a request.

    Raises:
        InvocationError: in the service's form.
    """
    times = _Times()
    if len(request.body) > MAX_BODY:
        raise _invalid(
            f"1 validation error detected: Value at 'body' failed to satisfy constraint: Member must have "
            f"length less than or equal to {MAX_BODY}; got {len(request.body)}"
        )
    endpoint = _find(request)
    if endpoint.current and request.target_variant not in ("", endpoint.current.variant):
        raise _invalid(f"Variant {request.target_variant} not found for endpoint {request.endpoint}.")
    fleet = current().part(Fleet)
    try:
        serving, concurrent = fleet.admit(endpoint)
    except LookupError:
        raise _invalid(f"Endpoint {request.endpoint} of account {request.account} not found.") from None
    except Throttled:
        throttled(endpoint, endpoint.current)  # type: ignore[arg-type]  # something serves it
        limit = endpoint.current.max_concurrency if endpoint.current else 0
        raise InvocationError(
            "ThrottlingException",
            429,
            f"Endpoint {request.endpoint} is serving {limit} requests, its MaxConcurrency; try again later",
        ) from None
    try:
        with serving.pool.lease() as lease:
            times.setup = lease.setup
            return _serve(request, serving, lease, concurrent, times)
    except StartFailed as error:
        raise _no_answer(request, serving, concurrent, times, str(error)) from None
    except (Ended, JobStopped):
        raise InvocationError("ServiceUnavailable", 503, "The sandbox is closing.") from None


def _serve(
    request: Request, serving: Serving, lease: Lease[Instance], concurrent: int, times: _Times
) -> Result:
    instance, sent = lease.worker, time.monotonic()
    try:
        answer = instance.server.invoke(
            request.body, request.content_type, request.accept or "*/*", TIMEOUT, request.custom_attributes
        )
    except TimeoutError:
        lease.keep = False  # it may be busy for ever
        times.model = time.monotonic() - sent
        raise _no_answer(request, serving, concurrent, times, _TIMED_OUT, instance) from None
    except OSError as error:
        lease.keep = False
        times.model = time.monotonic() - sent
        message = f"The container ended before it answered: {error}"
        raise _no_answer(request, serving, concurrent, times, message, instance) from None
    times.model = time.monotonic() - sent
    _tell(serving, answer.status, times, concurrent)
    if lease.setup:
        tell_memory(serving, instance, every=0.0)
    if not 200 <= answer.status < 300:
        text = answer.body.decode("utf-8", "replace")
        raise _model_error(request, serving, answer.status, text, instance)
    return Result(answer, serving.deployment.variant)


def _find(request: Request) -> Endpoint:
    with STATE.changing():
        found: Any = sagemaker_backends[request.account][request.region].endpoints.get(request.endpoint)
    if not isinstance(found, Endpoint):
        raise _invalid(f"Endpoint {request.endpoint} of account {request.account} not found.")
    if found.status not in _SERVING:
        raise _invalid(
            f"Endpoint {request.endpoint} of account {request.account} is not in service: its status is "
            f"{found.status}."
        )
    return found


def _tell(serving: Serving, status: int | None, times: _Times, concurrent: int) -> None:
    whole = time.monotonic() - times.began
    told = Invocation(status, times.model, whole - times.model, times.setup, concurrent)
    invoked(serving.endpoint, serving.deployment, told)


def _no_answer(
    request: Request,
    serving: Serving,
    concurrent: int,
    times: _Times,
    message: str,
    instance: Instance | None = None,
) -> InvocationError:
    _tell(serving, None, times, concurrent)
    return _model_error(request, serving, 0, message, instance)


def _model_error(
    request: Request, serving: Serving, status: int, message: str, instance: Instance | None
) -> InvocationError:
    kind = "client" if 400 <= status < 500 else "server"
    group, region, account = group_of(request.endpoint), request.region, request.account
    console = f"https://{region}.console.aws.amazon.com/cloudwatch/home?region={region}"
    stream = f":log-stream:{instance.stream.name}" if instance else ""
    return InvocationError(
        "ModelError",
        424,
        f'Received {kind} error ({status}) from primary with message "{message}". See '
        f"{console}#logEventViewer:group={group} in account {account} for more information.",
        # The shape of the model has an integer; there was no status when there was no answer.
        OriginalStatusCode=status,
        OriginalMessage=message,
        LogStreamArn=f"arn:aws:logs:{region}:{account}:log-group:{group}{stream}",
    )


def _invalid(message: str) -> InvocationError:
    return InvocationError("ValidationError", 400, message)


def runtime(application: Application) -> Application:
    """Take the requests to endpoints out of those to AWS."""
    serve = guard.guarded(_answer_request)

    def call(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        named = _PATH.fullmatch(environ.get("PATH_INFO", ""))
        host = environ.get("HTTP_HOST", "").rsplit(":", 1)[0]
        if named and environ.get("REQUEST_METHOD") == "POST" and not EXECUTE_API.fullmatch(host):
            return serve(environ, start_response)
        return application(environ, start_response)

    return call


def _answer_request(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
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
