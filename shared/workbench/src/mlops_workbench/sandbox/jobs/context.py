"""What a job is given by whoever starts it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from mlops_workbench.sandbox import clients
from mlops_workbench.sandbox.images import Images
from mlops_workbench.sandbox.jobs.log import JobLog


def _no_log(job: str, line: str) -> None:
    """Drop a line: the log file keeps it."""


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
