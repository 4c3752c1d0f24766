"""What the engine needs from the sandbox around it, for one account and region."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mlops_sandbox.jobs import Images, JobContext


@dataclass(frozen=True)
class World:
    """Where steps run and whom they act for.

    Attributes:
        account: 12 digits.
        region: e.g. ``ca-central-1``.
        jobs_folder: holds one folder for each job.
        images: which Python environment stands for which image.
        environment: AWS_ENDPOINT_URL, keys and region for the jobs.
        make_client: returns a boto3 client for a service; clients are kept and shared between threads.
    """

    account: str
    region: str
    jobs_folder: Path
    images: Images
    environment: Mapping[str, str]
    make_client: Callable[[str], Any]
    _clients: dict[str, Any] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def client(self, service: str) -> Any:
        """Return the shared boto3 client for a service; boto3's clients may be used by several threads."""
        with self._lock:
            if service not in self._clients:
                self._clients[service] = self.make_client(service)
            return self._clients[service]

    def job_context(self, name: str, stop: threading.Event) -> JobContext:
        """Return the context of a new job."""
        return JobContext(
            name=name,
            account=self.account,
            region=self.region,
            folder=self.jobs_folder / name,
            images=self.images,
            aws_environment=dict(self.environment),
            stop=stop,
        )
