"""The access log of a stage: its format with ``$context`` variables, written to its log group."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Mapping
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from mlops_workbench.sandbox.access.sessions import as_account

_VARIABLE = re.compile(r"\$context\.([\w.]+)")


def line(format_: str, values: Mapping[str, str]) -> str:
    """Return a format filled in; a variable without a value becomes ``-``."""
    return _VARIABLE.sub(lambda found: values.get(found[1]) or "-", format_)


def write(settings: Mapping[str, Any] | None, account: str, region: str, values: Mapping[str, str]) -> None:
    """Write a line to the stage's log group, if it has one that exists."""
    named = {key[0].lower() + key[1:]: value for key, value in (settings or {}).items()}
    if not named.get("destinationArn"):
        return
    group = str(named["destinationArn"]).split(":log-group:", 1)[-1].removesuffix(":*")
    client = as_account("logs", account, region)
    stream = f"{values['apiId']}-{values['stage'].strip('$')}"
    text = line(str(named.get("format") or "$context.requestId"), values)
    try:
        with contextlib.suppress(client.exceptions.ResourceAlreadyExistsException):
            client.create_log_stream(logGroupName=group, logStreamName=stream)
        entry = {"timestamp": int(time.time() * 1000), "message": text}
        client.put_log_events(logGroupName=group, logStreamName=stream, logEvents=[entry])
    except (ClientError, BotoCoreError):
        pass
