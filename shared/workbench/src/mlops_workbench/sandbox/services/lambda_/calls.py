"""AWS Lambda's calls: functions as they were given, Invoke, and event source mappings.

moto 5.2.5 drops some settings, or keeps the first ones for ever: Terraform would change them at every
apply. It runs functions in Docker, and within the call; here they are processes, and events can wait.

An asynchronous invocation (``InvocationType=Event``) that fails is tried again as often as the function's
event configuration says, twice unless it does, and then goes to the function's dead-letter queue or topic.
AWS waits one and two minutes between the attempts; ``retry_delays`` is shorter.

For a queue that is mapped to a function, moto calls the function within SendMessage, one message at a
time. Here ``queues`` reads the queue, as Lambda does.
"""

from __future__ import annotations

import base64
import json
import logging
from collections.abc import Iterable
from typing import Any

from moto.awslambda.models import EventSourceMapping, LambdaBackend, LambdaFunction
from moto.sqs.models import sqs_backends

from mlops_workbench.sandbox.clients import from_environment
from mlops_workbench.sandbox.containers.functions import function_environment, run
from mlops_workbench.sandbox.errors import AccessDenied, JobStopped
from mlops_workbench.sandbox.services.lambda_ import queues
from mlops_workbench.sandbox.session import current

_KEPT = ("LoggingConfig", "DeadLetterConfig", "FileSystemConfigs", "KMSKeyArn", "TracingConfig")
logger = logging.getLogger("mlops_workbench.sandbox.services.lambda_")

#: Seconds before the second and the third attempt.
retry_delays = (1.0, 2.0)


def log_group(function: LambdaFunction) -> str:
    """Return the name of the log group that a function writes to."""
    given = vars(function).get("sandbox_given", {}).get("LoggingConfig") or {}
    return str(given.get("LogGroup") or f"/aws/lambda/{function.function_name}")


def dead_letters(function: LambdaFunction) -> str | None:
    """Return the ARN of the queue or topic for events that a function could not handle, if it has one."""
    given = vars(function).get("sandbox_given", {}).get("DeadLetterConfig") or {}
    return given.get("TargetArn") or None


def _install_configuration() -> None:
    """Keep the settings beside moto's own."""
    create, describe = LambdaFunction.__init__, LambdaFunction.get_configuration
    update = LambdaFunction.update_configuration

    def keep(function: LambdaFunction, spec: dict[str, Any]) -> None:
        given = vars(function).setdefault("sandbox_given", {})
        given.update({key: spec[key] for key in _KEPT if key in spec})
        function.logs_group_name = log_group(function)

    def __init__(
        self: LambdaFunction, account_id: str, spec: dict[str, Any], *args: Any, **more: Any
    ) -> None:
        create(self, account_id, spec, *args, **more)
        keep(self, spec)

    def get_configuration(self: LambdaFunction, *args: Any, **more: Any) -> dict[str, Any]:
        described = describe(self, *args, **more)
        given = vars(self).get("sandbox_given", {})
        described |= {key: value for key, value in given.items() if value}
        logging = {"LogFormat": "Text", **(given.get("LoggingConfig") or {}), "LogGroup": log_group(self)}
        return {**described, "LoggingConfig": logging}

    def update_configuration(self: LambdaFunction, config_updates: dict[str, Any]) -> dict[str, Any]:
        keep(self, config_updates)
        return update(self, config_updates)

    for patch in (__init__, get_configuration, update_configuration):
        setattr(LambdaFunction, patch.__name__, patch)


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


def _install_invocations() -> None:
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


def _install_mappings() -> None:
    """Keep moto from calling functions itself, and wake the reader of queues."""
    create, describe = LambdaBackend.create_event_source_mapping, EventSourceMapping.get_configuration
    list_all = LambdaBackend.list_event_source_mappings

    def create_event_source_mapping(self: LambdaBackend, spec: dict[str, Any]) -> EventSourceMapping:
        mapping = create(self, spec)
        # moto delivers to the mappings that are listed here.
        for queue in sqs_backends[self.account_id][self.region_name].queues.values():
            queue.lambda_event_source_mappings.clear()
        queues.wake()
        return mapping

    def list_event_source_mappings(
        self: LambdaBackend, event_source_arn: str, function_name: str
    ) -> Iterable[EventSourceMapping]:
        # A function may be named by its name or its ARN, in the mapping and in the question.
        found = list_all(self, event_source_arn, "")
        wanted = (function_name or "").rsplit(":", 1)[-1]
        return [each for each in found if wanted in ("", each.function_arn.rsplit(":", 1)[-1])]

    def get_configuration(self: EventSourceMapping) -> dict[str, Any]:
        # The window's default is part of every answer; moto leaves it out.
        return {"MaximumBatchingWindowInSeconds": 0, **describe(self)}

    LambdaBackend.create_event_source_mapping = create_event_source_mapping  # type: ignore[method-assign]
    LambdaBackend.list_event_source_mappings = list_event_source_mappings  # type: ignore[method-assign]
    EventSourceMapping.get_configuration = get_configuration  # type: ignore[method-assign]


def install() -> None:
    """Patch moto."""
    _install_configuration()
    _install_invocations()
    _install_mappings()
