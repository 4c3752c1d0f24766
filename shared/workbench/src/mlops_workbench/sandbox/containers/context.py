"""What runs in containers: what it is given by whoever starts it, and where its lines go.

The lines of a job go into its file and to whoever follows it; the last few are kept for the report of a
failure.
"""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from mlops_workbench.sandbox import clients
from mlops_workbench.sandbox.images import Images

_KEPT = 50  # lines


def _no_log(job: str, line: str) -> None:
    """Drop a line: the log file keeps it."""


def open_log_stream(client: Any, group: str, stream: str) -> None:
    """Make a stream, and its group if there is none, with the identity of whoever logs into it.

    Raises:
        ClientError: the identity may not.
    """
    try:
        client.create_log_stream(logGroupName=group, logStreamName=stream)
    except client.exceptions.ResourceNotFoundException:
        # Who logs into the group for the first time at the same moment may have made it since.
        with contextlib.suppress(client.exceptions.ResourceAlreadyExistsException):
            client.create_log_group(logGroupName=group)
        client.create_log_stream(logGroupName=group, logStreamName=stream)


@dataclass(frozen=True)
class JobContext:
    """One job's name, place, identity and controls.

    Attributes:
        name: the job's name, unique in its account and region.
        account: 12 digits.
        region: e.g. ``ca-central-1``.
        folder: of this job, made if absent, kept after the job; its log is ``folder/log.txt``.
        images: which Python environment stands for which image.
        aws_environment: AWS_ENDPOINT_URL, keys, region: what reaches the sandbox from inside the job.
        log: called with (job name, line) for every line that the job prints, from a reader thread.
        stop: set it to end the job: SIGTERM, ``grace_seconds``, SIGKILL, each to the whole process group.
        grace_seconds: SageMaker gives 120 s between SIGTERM and SIGKILL.
    """

    name: str
    account: str
    region: str
    folder: Path
    images: Images
    aws_environment: dict[str, str]
    log: Callable[[str, str], None] = _no_log
    stop: threading.Event = field(default_factory=threading.Event)
    grace_seconds: float = 120.0

    def client(self, service: str) -> Any:
        """Return a boto3 client that acts as this job does."""
        return clients.from_environment(service, self.aws_environment, self.region)


class Work(Protocol):
    """What runs in containers: a job, or one instance of an endpoint."""

    @property
    def context(self) -> JobContext:
        """Return its name, place, identity and controls."""

    @property
    def folder(self) -> Path:
        """Return where its files are."""

    @property
    def log(self) -> JobLog:
        """Return what takes its containers' lines."""

    def check_stop(self) -> None:
        """Raise JobStopped when it has been asked to end."""


class JobLog:
    """Takes lines from several threads."""

    def __init__(self, path: Path, job: str, follow: Callable[[str, str], None]) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("w", encoding="utf-8")
        self._job = job
        self._follow = follow
        self._lock = threading.Lock()
        self._last: deque[str] = deque(maxlen=_KEPT)
        self._watchers: list[Callable[[str], None]] = []

    def watch(self, watcher: Callable[[str], None]) -> None:
        """Have ``watcher`` called with every line of the containers, without a prefix."""
        self._watchers.append(watcher)

    def line(self, text: str, host: str | None = None) -> None:
        """Take one line; ``host`` is named before it when the job has several."""
        shown = f"[{host}] {text}" if host else text
        with self._lock:
            if self._file.closed:
                return
            self._file.write(shown + "\n")
            self._file.flush()
            self._last.append(shown)
            for watcher in self._watchers:
                watcher(text)
        self._follow(self._job, shown)

    def last_lines(self) -> list[str]:
        """Return the last lines, oldest first."""
        with self._lock:
            return list(self._last)

    def close(self) -> None:
        """Close the file; lines that come later are dropped."""
        with self._lock:
            self._file.close()
