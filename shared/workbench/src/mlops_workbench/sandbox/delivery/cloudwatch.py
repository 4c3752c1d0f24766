"""A build's lines in CloudWatch Logs, written with the build's own role."""

from __future__ import annotations

import threading
import time
from typing import Any

from botocore.exceptions import ClientError

_EVERY = 0.5  # seconds between two writes
_MOST = 1000  # events in one call; the service allows 10,000 and 1 MiB
_LONGEST = 200_000  # characters of one event; the service allows 256 KiB


class LogStream:
    """One stream. ``close`` writes what is left."""

    def __init__(self, client: Any, group: str, stream: str) -> None:
        """Make the stream, and the group if there is none yet.

        Raises:
            ClientError: the role may not.
        """
        self._client, self.group, self.stream = client, group, stream
        self._waiting: list[dict[str, Any]] = []
        self._lock = threading.Lock()
        self._writing = threading.Lock()
        self._written = 0.0
        self.lost = 0
        try:
            client.create_log_stream(logGroupName=group, logStreamName=stream)
        except client.exceptions.ResourceNotFoundException:
            client.create_log_group(logGroupName=group)
            client.create_log_stream(logGroupName=group, logStreamName=stream)

    def line(self, text: str) -> None:
        """Add a line; it is written within the next calls."""
        with self._lock:
            # The service refuses an empty message.
            event = {"timestamp": int(time.time() * 1000), "message": text[:_LONGEST] or " "}
            self._waiting.append(event)
            due = time.monotonic() - self._written >= _EVERY or len(self._waiting) >= _MOST
        if due:
            self._flush()

    def close(self) -> None:
        """Write what is left."""
        self._flush()

    def _flush(self) -> None:
        with self._writing:
            with self._lock:
                events, self._waiting = self._waiting, []
                self._written = time.monotonic()
            for start in range(0, len(events), _MOST):
                batch = events[start : start + _MOST]
                try:
                    self._client.put_log_events(
                        logGroupName=self.group, logStreamName=self.stream, logEvents=batch
                    )
                except ClientError:
                    # A build does not end because its log is full or was deleted; its file has every line.
                    self.lost += len(batch)
