"""Invoke: moto runs functions in Docker, and within the call; here they are processes, and events can wait.

An asynchronous invocation (``InvocationType=Event``) that fails is tried again as often as the function's
event configuration says, twice unless it does, and then goes to the function's dead-letter queue or topic.
AWS waits one and two minutes between the attempts; ``retry_delays`` is shorter.
"""

from __future__ import annotations

import base64
import json
import logging
from typing import Any

from moto.awslambda.models import LambdaFunction

from mlops_workbench.sandbox.aws.awslambda.configuration import dead_letters
from mlops_workbench.sandbox.clients import from_environment
from mlops_workbench.sandbox.errors import AccessDenied, JobStopped
from mlops_workbench.sandbox.jobs.lambdas import function_environment, run
from mlops_workbench.sandbox.session import current

logger = logging.getLogger("mlops_workbench.sandbox.events")

#: Seconds before the second and the third attempt.
retry_delays = (1.0, 2.0)


def later(function: LambdaFunction, payload: Any) -> None:
    """Call a function in a thread, when its turn has come, with further attempts if it fails."""
    work = current().work

    def attempts() -> None:
        problem: dict[str, Any] = {}
        for delay in (*retry_delays[: _retries(function)], None):
            try:
                invocation, _ = run(function, payload, work.stopping)
            except JobStopped:
                return
            except AccessDenied as error:
                problem = {"errorType": "AccessDenied", "errorMessage": str(error)}
            else:
                if invocation.error is None:
                    return
                problem = invocation.error
            if delay is not None and work.stopping.wait(delay):
                return
        logger.info("function %s failed: %s", function.function_name, problem.get("errorMessage"))
        _bury(function, payload, problem)

    work.enqueue(work.functions, f"function {function.function_name}", attempts)


def _retries(function: LambdaFunction) -> int:
    configured = [entry.get("MaximumRetryAttempts") for entry in function.event_invoke_config]  # type: ignore[attr-defined]
    return len(retry_delays) if not configured or configured[0] is None else int(configured[0])


def _bury(function: LambdaFunction, payload: Any, problem: dict[str, Any]) -> None:
    """Send an event that was not handled to the dead-letter queue or topic, as the function's role."""
    target = dead_letters(function)
    if not target:
        return
    service = target.split(":")[2]
    client = from_environment(service, function_environment(function))
    values = {
        "ErrorCode": "200",
        "ErrorMessage": str(problem.get("errorMessage", ""))[:1024] or "failed",
    }
    attributes = {name: {"DataType": "String", "StringValue": value} for name, value in values.items()}
    text = json.dumps(payload)
    if service == "sns":
        client.publish(TopicArn=target, Message=text, MessageAttributes=attributes)
    else:
        url = client.get_queue_url(QueueName=target.rsplit(":", 1)[-1])["QueueUrl"]
        client.send_message(QueueUrl=url, MessageBody=text, MessageAttributes=attributes)


def install() -> None:
    """Replace the method behind the call Invoke."""

    def invoke(self: LambdaFunction, body: Any, request_headers: Any, response_headers: Any) -> str | bytes:
        payload = json.loads(body) if body else {}
        kind = (request_headers or {}).get("x-amz-invocation-type", "RequestResponse")
        if kind == "DryRun":
            return b""
        if kind == "Event":
            later(self, payload)
            return b""
        try:
            invocation, logs = run(self, payload)
            error, answer = invocation.error, invocation.payload
        except AccessDenied as denied:
            error, answer, logs = {"errorType": "AccessDenied", "errorMessage": str(denied)}, None, ""
        if error is not None:
            answer = error
            response_headers["x-amz-function-error"] = "Unhandled"
        # The call returns the last 4 KB of the log.
        response_headers["x-amz-log-result"] = base64.b64encode(logs.encode()[-4096:]).decode()
        return json.dumps(answer).encode()

    LambdaFunction.invoke = invoke  # type: ignore[method-assign]
