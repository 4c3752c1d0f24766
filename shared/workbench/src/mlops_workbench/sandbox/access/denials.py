"""A refusal in the protocol of the service that was called."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable
from typing import Any
from xml.sax.saxutils import escape

from moto.core.utils import get_service_model

from mlops_workbench.sandbox.access.calls import Call

#: Codes of services that do not call it AccessDeniedException.
_CODES = {
    "s3": "AccessDenied",
    "iam": "AccessDenied",
    "sts": "AccessDenied",
    "cloudwatch": "AccessDenied",
    "sns": "AuthorizationError",
    "sqs": "AccessDenied",
}


def answer(call: Call, message: str, code: str | None, start_response: Any) -> Iterable[bytes]:
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
