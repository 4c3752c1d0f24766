"""The door of the server: what a principal may not do does not reach moto.

It is refused in the protocol of the service that was called. A call on a resource of another account that
is allowed is answered by that account's state.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterable
from contextvars import ContextVar
from typing import Any
from xml.sax.saxutils import escape

from moto.core.utils import get_service_model
from moto.moto_server.werkzeug_app import DomainDispatcherApplication

from mlops_workbench.sandbox.errors import AccessDenied
from mlops_workbench.sandbox.gate import STATE
from mlops_workbench.sandbox.iam import calls, policies
from mlops_workbench.sandbox.iam.calls import Call
from mlops_workbench.sandbox.iam.decide import check
from mlops_workbench.sandbox.iam.resources import resources_of
from mlops_workbench.sandbox.session import current

Application = Callable[[dict[str, Any], Any], Iterable[bytes]]
#: Keys of ``environ``: what ``guarded`` tells.
ACCOUNT, REGION = "mlops_workbench.sandbox.account", "mlops_workbench.sandbox.region"

#: Services whose calls on another account's resource are answered by that account.
_CROSS_ACCOUNT = {"ecr", "events", "kms", "lambda", "sagemaker", "secretsmanager", "sns", "sqs", "ssm"}

#: Whether the request that this thread serves has passed the door with a known key.
_signed: ContextVar[bool] = ContextVar("signed", default=False)
#: Codes of services that do not call it AccessDeniedException.
_CODES = {
    "s3": "AccessDenied",
    "iam": "AccessDenied",
    "sts": "AccessDenied",
    "cloudwatch": "AccessDenied",
    "sns": "AuthorizationError",
    "sqs": "AccessDenied",
}


def signed() -> bool:
    """Whether the request that is being served is signed by a principal of the sandbox."""
    return _signed.get()


def guarded(application: Application) -> Application:
    """Put the door before something that answers signed requests without moto.

    It finds in ``environ`` whose account (``ACCOUNT``) and Region (``REGION``) the request is for.
    """

    def call(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        try:
            with STATE.changing():
                passed = _pass(environ)
        except _Refused as refused:
            return denial(refused.call, str(refused), refused.code, start_response)
        if not passed:
            call = calls.read(environ)
            code = "MissingAuthenticationToken" if call is None else "UnrecognizedClientException"
            body = json.dumps({"Message": "The security token included in the request is invalid."}).encode()
            headers = [("Content-Type", "application/json"), ("x-amzn-ErrorType", code)]
            start_response("403 Forbidden", headers)
            return [body]
        return application(environ, start_response)

    return call


def install() -> None:
    """Put the door before moto's own application."""
    serve = DomainDispatcherApplication.__call__

    def __call__(
        self: DomainDispatcherApplication, environ: dict[str, Any], start_response: Any
    ) -> Iterable[bytes]:
        try:
            passed = _pass(environ)
        except _Refused as refused:
            return denial(refused.call, str(refused), refused.code, start_response)
        token = _signed.set(passed)
        try:
            return serve(self, environ, start_response)  # type: ignore[no-any-return]
        finally:
            _signed.reset(token)

    DomainDispatcherApplication.__call__ = __call__  # type: ignore[method-assign]


class _Refused(Exception):
    def __init__(self, call: Call, message: str, code: str | None = None) -> None:
        super().__init__(message)
        self.call, self.code = call, code


def _pass(environ: dict[str, Any]) -> bool:
    """Check a request; return whether a known principal signed it."""
    call = calls.read(environ)
    if call is None:
        # Not signed, as a webhook's; or a service that IAM here knows nothing of.
        return False
    enforce = current().enforce_iam
    try:
        identity = policies.principal_of_key(call.key_id)
        if identity is None:
            if enforce:
                message = "The security token included in the request is invalid."
                raise _Refused(call, message, "InvalidClientTokenId")
            return False
        check(call, identity, enforce=enforce)
    except AccessDenied as denied:
        raise _Refused(call, str(denied)) from None
    account = identity.principal.account or ""
    named = [*resources_of(call, account), call.params.get("ModelPackageGroupName")]
    owner = next((owner for each in named if (owner := policies.owner_of(each))), account)
    if call.service in _CROSS_ACCOUNT and owner != account:
        environ["HTTP_X_MOTO_ACCOUNT_ID"] = owner
    environ[ACCOUNT], environ[REGION] = account, call.region
    return True


def denial(call: Call, message: str, code: str | None, start_response: Any) -> Iterable[bytes]:
    """Answer 403 (400 in the JSON protocols, as AWS does)."""
    code = code or _CODES.get(call.service, "AccessDeniedException")
    request_id = str(uuid.uuid4())
    headers = [("x-amzn-RequestId", request_id), ("x-amzn-ErrorType", code)]
    is_json = "json" in call.headers.get("content-type", "") or "x-amz-target" in call.headers
    protocol = "json" if is_json else str(get_service_model(call.service).protocol)
    if call.service == "s3":
        status, kind = "403 Forbidden", "application/xml"
        body = (
            f"<Error><Code>{code}</Code><Message>{escape(message)}</Message>"
            f"<RequestId>{request_id}</RequestId></Error>"
        )
    elif protocol == "query":
        status, kind = "403 Forbidden", "text/xml"
        body = (
            f"<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>{escape(message)}</Message>"
            f"</Error><RequestId>{request_id}</RequestId></ErrorResponse>"
        )
    else:
        status = "403 Forbidden" if protocol.startswith("rest") else "400 Bad Request"
        kind = "application/json" if protocol.startswith("rest") else "application/x-amz-json-1.1"
        body = json.dumps({"__type": code, "message": message, "Message": message})
    start_response(status, [("Content-Type", kind), ("Content-Length", str(len(body.encode()))), *headers])
    return [b"" if call.method == "HEAD" else body.encode()]
