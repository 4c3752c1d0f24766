"""An instance's lines in CloudWatch Logs, written as the model's execution role.

[read] "CloudWatch Logs for Amazon SageMaker AI": the group is ``/aws/sagemaker/Endpoints/NAME``. Without the
permission an endpoint works all the same and has no log there; the sandbox's folder has it always.
"""

from __future__ import annotations

import threading
import time
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

_MOST = 1000  # events in one call; the service allows 10,000 and 1 MiB
_LONGEST = 200_000  # characters of one event; the service allows 256 KiB


def group_of(endpoint: str) -> str:
    """Return the log group of an endpoint."""
    return f"/aws/sagemaker/Endpoints/{endpoint}"


class Stream:
    """One stream, made with its first line. ``flush`` writes what has come; whoever owns it calls that."""

    def __init__(self, client: Any, group: str, name: str) -> None:
        self.group, self.name = group, name
        self._client = client
        self._waiting: list[dict[str, Any]] = []
        self._lock, self._writing = threading.Lock(), threading.Lock()
        self._made = self._refused = False

    def line(self, text: str) -> None:
        """Take a line."""
        # The service refuses an empty message.
        event = {"timestamp": int(time.time() * 1000), "message": text[:_LONGEST] or " "}
        with self._lock:
            if not self._refused:
                self._waiting.append(event)

    def flush(self) -> None:
        """Write what has come since the last time."""
        with self._writing:
            with self._lock:
                events, self._waiting = self._waiting, []
            for start in range(0, len(events), _MOST):
                try:
                    self._write(events[start : start + _MOST])
                except (ClientError, BotoCoreError):
                    with self._lock:
                        self._refused, self._waiting = True, []
                    return

    def _write(self, events: list[dict[str, Any]]) -> None:
        names = {"logGroupName": self.group, "logStreamName": self.name}
        if not self._made:
            try:
                self._client.create_log_stream(**names)
            except self._client.exceptions.ResourceNotFoundException:
                self._client.create_log_group(logGroupName=self.group)
                self._client.create_log_stream(**names)
            self._made = True
        self._client.put_log_events(**names, logEvents=events)
