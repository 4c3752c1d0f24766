"""Running a function: with its role, and with its lines in CloudWatch Logs."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError
from moto.awslambda.models import LambdaFunction

from mlops_workbench.sandbox.aws.awslambda.configuration import log_group

if TYPE_CHECKING:
    from mlops_workbench.sandbox.jobs.images import Images
    from mlops_workbench.sandbox.jobs.lambdas import Invocation


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
        mlops_workbench.sandbox.jobs.JobStopped: ``stop`` was set before the end.
        mlops_workbench.sandbox.access.AccessDenied: its role does not trust Lambda.
    """
    # Imported here: both need the installed patches.
    from mlops_workbench.sandbox.jobs.lambdas import function_environment, invoke
    from mlops_workbench.sandbox.server import current

    environment = function_environment(function)
    lines: list[str] = []
    began = time.monotonic()

    def take(line: str) -> None:
        lines.append(line)
        if on_line is not None:
            on_line(line)

    try:
        declared = images or current().images
        return invoke(function, payload, declared, environment, take, stop), "\n".join(lines)
    finally:
        lines.append(f"REPORT Duration: {1000 * (time.monotonic() - began):.2f} ms")
        _write(function, environment, lines)


def _write(function: LambdaFunction, environment: dict[str, str], lines: Sequence[str]) -> None:
    """Write a log stream as the function's role; without the permission there is no log, as on AWS."""
    from mlops_workbench.sandbox.clients import from_environment

    client = from_environment("logs", environment)
    group = log_group(function)
    stream = f"{datetime.now(UTC):%Y/%m/%d}/[{function.version}]{uuid.uuid4().hex}"
    moment = int(time.time() * 1000)
    # An empty message is refused; the batch is as long as one call may be.
    entries = [{"timestamp": moment, "message": line or " "} for line in lines[-9000:]]
    try:
        try:
            client.create_log_stream(logGroupName=group, logStreamName=stream)
        except client.exceptions.ResourceNotFoundException:
            client.create_log_group(logGroupName=group)
            client.create_log_stream(logGroupName=group, logStreamName=stream)
        client.put_log_events(logGroupName=group, logStreamName=stream, logEvents=entries)
    except (ClientError, BotoCoreError):
        pass
