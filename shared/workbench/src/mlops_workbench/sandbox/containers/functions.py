"""Lambda functions: the code that moto keeps, run as a process, for whoever calls them.

It has its role, and its lines go to CloudWatch Logs.

The Python is the one that ``sandbox.toml`` declares for the runtime's base image,
``public.ecr.aws/lambda/python:3.12``; where none is declared it is the sandbox's own, which has boto3, as
Lambda's has.
"""

from __future__ import annotations

import io
import json
import os
import sys
import tempfile
import threading
import time
import uuid
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from moto.awslambda.models import LambdaFunction, lambda_backends
from werkzeug.exceptions import HTTPException

from mlops_workbench.sandbox import clients
from mlops_workbench.sandbox.containers.context import JobContext, JobLog, open_log_stream
from mlops_workbench.sandbox.containers.process import INSIDE, Process, wait_all
from mlops_workbench.sandbox.errors import AccessDenied, JobFailed, JobStopped
from mlops_workbench.sandbox.iam.acting import role_environment
from mlops_workbench.sandbox.iam.policies import find_role
from mlops_workbench.sandbox.images import Images
from mlops_workbench.sandbox.session import current

_SCRIPT = INSIDE / "invoke.py"
_GRACE = 2.0  # seconds: Lambda kills at once; a handler's subprocesses may want to say so


@dataclass(frozen=True)
class Invocation:
    """How one call of a function ended: its payload, or its error in the form that Lambda gives."""

    payload: Any
    error: dict[str, Any] | None


def run_lambda(function_arn: str, payload: Any, context: JobContext) -> dict[str, Any]:
    """Call a function and return its payload.

    Raises:
        JobFailed: no such function; the handler raised, ran out of time or returned something other than an
            object.
        JobStopped: ``context.stop`` was set.
    """
    context.folder.mkdir(parents=True, exist_ok=True)
    log = JobLog(context.folder / "log.txt", context.name, context.log)
    try:
        function = _find(function_arn)
        try:
            invocation, _ = run(function, payload, context.stop, context.images, log.line)
        except AccessDenied as error:
            raise JobFailed(f"Lambda function {function.function_name} failed: {error}") from None
    finally:
        log.close()
    if invocation.error:
        reason = f"{invocation.error['errorType']}: {invocation.error['errorMessage']}"
        raise JobFailed(
            f"Lambda function {function.function_name} failed: {reason}", last_lines=log.last_lines()
        )
    if not isinstance(invocation.payload, dict):
        raise JobFailed(
            f"Lambda function {function.function_name}: expected an object, got {invocation.payload!r}"
        )
    return invocation.payload


def run(
    function: LambdaFunction,
    payload: Any,
    stop: threading.Event | None = None,
    images: Images | None = None,
    on_line: Callable[[str], None] | None = None,
) -> tuple[Invocation, str]:
    """Call a function and return how it ended and what it printed.

    Args:
        function: to call.
        payload: its event.
        stop: ends it early.
        images: say which Python runs it; those of the server that runs here unless given.
        on_line: is told what it prints, too, line by line.

    Raises:
        JobStopped: ``stop`` was set before the end.
        AccessDenied: its role does not trust Lambda.
    """
    environment = function_environment(function)
    lines: list[str] = []
    began = time.monotonic()

    def take(line: str) -> None:
        lines.append(line)
        if on_line is not None:
            on_line(line)

    try:
        declared = images or current().images
        return _invoke(function, payload, declared, environment, take, stop), "\n".join(lines)
    finally:
        lines.append(f"REPORT Duration: {1000 * (time.monotonic() - began):.2f} ms")
        _write(function, environment, lines)


def _write(function: LambdaFunction, environment: dict[str, str], lines: Sequence[str]) -> None:
    """Write a log stream as the function's role; without the permission there is no log, as on AWS."""
    client = clients.from_environment("logs", environment)
    group = function.logs_group_name
    stream = f"{datetime.now(UTC):%Y/%m/%d}/[{function.version}]{uuid.uuid4().hex}"
    moment = int(time.time() * 1000)
    # An empty message is refused; the batch is as long as one call may be.
    entries = [{"timestamp": moment, "message": line or " "} for line in lines[-9000:]]
    try:
        open_log_stream(client, group, stream)
        client.put_log_events(logGroupName=group, logStreamName=stream, logEvents=entries)
    except (ClientError, BotoCoreError):
        pass


def _invoke(
    function: LambdaFunction,
    payload: Any,
    images: Images,
    aws_environment: dict[str, str],
    on_line: Callable[[str], None],
    stop: threading.Event | None = None,
) -> Invocation:
    """Call a function's handler in a process of its own.

    Raises:
        JobStopped: ``stop`` was set before the end.
    """
    request_id = str(uuid.uuid4())
    seconds = float(function.timeout or 3)
    with tempfile.TemporaryDirectory(prefix="lambda-") as name:
        folder = Path(name)
        code, event, result = folder / "task", folder / "event.json", folder / "result.json"
        try:
            with zipfile.ZipFile(io.BytesIO(function.code_bytes)) as archive:
                archive.extractall(code)
        except zipfile.BadZipFile:
            return Invocation(
                None, _error("Runtime.InvalidZip", "the function's code is not a zip", request_id)
            )
        event.write_text(json.dumps(payload), "utf-8")
        process = Process(
            [str(_python(function, images)), str(_SCRIPT), str(event), str(result)],
            {**_environment(function, request_id, seconds, code), **aws_environment},
            code,
            on_line,
        )
        (status,), why = wait_all(
            [process], stop=stop or threading.Event(), grace=_GRACE, deadline=time.monotonic() + seconds
        )
        if why == "stopped":
            raise JobStopped(f"{function.function_name} was stopped")
        if why == "timed out":
            message = f"{request_id} Task timed out after {seconds:.2f} seconds"
            return Invocation(None, _error("Sandbox.Timedout", message, request_id))
        if not result.is_file():
            message = f"RequestId: {request_id} Error: Runtime exited with error: exit status {status}"
            return Invocation(None, _error("Runtime.ExitError", message, request_id))
        answer = json.loads(result.read_text("utf-8"))
    return Invocation(answer.get("payload"), answer.get("error"))


def function_environment(function: LambdaFunction) -> dict[str, str]:
    """Return the AWS_* variables of a function: its role's, or its account's where there is no such role.

    Raises:
        AccessDenied: the role does not trust Lambda.
    """
    region = function.region
    if find_role(function.role):
        return role_environment(function.role, "lambda.amazonaws.com", region, function.function_name)
    return clients.environment(function.account_id, region, current().endpoint_url)


def _find(function_arn: str) -> LambdaFunction:
    try:
        _, _, service, region, account, _ = function_arn.split(":", 5)
    except ValueError:
        service = ""
    if service != "lambda":
        raise JobFailed(f"FunctionArn: expected the ARN of a Lambda function, got {function_arn!r}")
    try:
        return lambda_backends[account][region].get_function(function_arn)
    except HTTPException:  # moto's errors of Lambda
        raise JobFailed(f"Lambda function {function_arn} does not exist") from None


def _python(function: LambdaFunction, images: Images) -> Path:
    version = str(function.run_time or "").removeprefix("python")
    image = f"public.ecr.aws/lambda/python:{version}"
    if any(entry.match.search(image) for entry in images.entries):
        return images.python_for(image)
    return Path(sys.executable)


def _environment(function: LambdaFunction, request_id: str, seconds: float, code: Path) -> dict[str, str]:
    return {
        "PATH": f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin",
        "LANG": "C.UTF-8",
        "TZ": ":UTC",
        "PYTHONUNBUFFERED": "1",
        "HOME": os.devnull,
        "LAMBDA_TASK_ROOT": str(code),
        "_HANDLER": str(function.handler),
        "AWS_EXECUTION_ENV": f"AWS_Lambda_{function.run_time}",
        "AWS_LAMBDA_FUNCTION_NAME": function.function_name,
        "AWS_LAMBDA_FUNCTION_VERSION": str(function.version or "$LATEST"),
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function.memory_size),
        "AWS_LAMBDA_LOG_GROUP_NAME": function.logs_group_name,
        "AWS_LAMBDA_LOG_STREAM_NAME": f"sandbox/{request_id}",
        "SANDBOX_FUNCTION_ARN": function.function_arn,
        "SANDBOX_REQUEST_ID": request_id,
        "SANDBOX_TIMEOUT": str(seconds),
        **function.environment_vars,
    }


def _error(kind: str, message: str, request_id: str) -> dict[str, Any]:
    return {"errorMessage": message, "errorType": kind, "requestId": request_id, "stackTrace": []}
