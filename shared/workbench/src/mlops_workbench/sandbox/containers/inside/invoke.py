"""Calls a Lambda handler once, as the runtime does, in the function's Python.

    invoke.py EVENT RESULT

RESULT becomes ``{"payload": …}``, or ``{"error": {errorType, errorMessage, stackTrace}}`` in the form that
Lambda gives to a caller ([read] AWS, "Lambda function errors in Python").
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
import traceback
from pathlib import Path
from typing import Any


class Context:
    """The handler's second argument."""

    def __init__(self) -> None:
        self.function_name = os.environ["AWS_LAMBDA_FUNCTION_NAME"]
        self.function_version = os.environ["AWS_LAMBDA_FUNCTION_VERSION"]
        self.invoked_function_arn = os.environ["SANDBOX_FUNCTION_ARN"]
        self.memory_limit_in_mb = os.environ["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"]
        self.aws_request_id = os.environ["SANDBOX_REQUEST_ID"]
        self.log_group_name = os.environ["AWS_LAMBDA_LOG_GROUP_NAME"]
        self.log_stream_name = os.environ["AWS_LAMBDA_LOG_STREAM_NAME"]
        self.client_context = None
        self.identity = None
        self._end = time.monotonic() + float(os.environ["SANDBOX_TIMEOUT"])

    def get_remaining_time_in_millis(self) -> int:
        """Return the time left, in milliseconds."""
        return max(0, int(1000 * (self._end - time.monotonic())))


def main(event_path: str, result_path: str) -> None:
    """Call the handler and write the result."""
    event = json.loads(Path(event_path).read_text("utf-8"))
    Path(result_path).write_text(json.dumps(call(os.environ["_HANDLER"], event)), "utf-8")


def call(handler: str, event: Any) -> dict[str, Any]:
    """Return the payload or the error of one call."""
    module_name, dot, function_name = handler.rpartition(".")
    if not dot:
        return error("Runtime.MalformedHandlerName", f"Bad handler '{handler}': not enough values to unpack")
    try:
        module = importlib.import_module(module_name.replace("/", "."))
    except SyntaxError as problem:
        return error("Runtime.UserCodeSyntaxError", f"Syntax error in module '{module_name}': {problem}")
    except ImportError as problem:
        return error("Runtime.ImportModuleError", f"Unable to import module '{module_name}': {problem}")
    except Exception as problem:
        return error(type(problem).__name__, str(problem), traceback.format_tb(problem.__traceback__))
    function = getattr(module, function_name, None)
    if function is None:
        return error(
            "Runtime.HandlerNotFound", f"Handler '{function_name}' missing on module '{module_name}'"
        )
    try:
        payload = function(event, Context())
    except Exception as problem:
        # The first frame is this one.
        return error(type(problem).__name__, str(problem), traceback.format_tb(problem.__traceback__)[1:])
    try:
        json.dumps(payload)
    except (TypeError, ValueError) as problem:
        return error("Runtime.MarshalError", f"Unable to marshal response: {problem}")
    return {"payload": payload}


def error(kind: str, message: str, trace: list[str] | None = None) -> dict[str, Any]:
    """Return an error as Lambda shows it, and print it into the log."""
    body = {"errorMessage": message, "errorType": kind, "requestId": os.environ["SANDBOX_REQUEST_ID"]}
    body["stackTrace"] = trace or []  # type: ignore[assignment]
    print(f"[ERROR] {kind}: {message}", *(trace or []), sep="\n", file=sys.stderr)
    return {"error": body}


if __name__ == "__main__":
    # In place of this script's folder, which the function must not import from.
    sys.path[0] = os.environ["LAMBDA_TASK_ROOT"]
    main(sys.argv[1], sys.argv[2])
