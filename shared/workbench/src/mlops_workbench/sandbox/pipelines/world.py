"""What the engine needs from the sandbox around it, for one account and region."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mlops_workbench.sandbox.jobs import Images, JobContext, JobFailed

_KINDS = {"processing-job": "ProcessingJob", "training-job": "TrainingJob", "transform-job": "TransformJob"}


@dataclass(frozen=True)
class World:
    """Where steps run and whom they act for.

    Attributes:
        account: 12 digits.
        region: e.g. ``ca-central-1``.
        jobs_folder: holds one folder for each job.
        images: which Python environment stands for which image.
        make_client: returns a boto3 client for a service, which acts as the pipeline's role; clients are kept
            and shared between threads.
        job_environment: (request, job's ARN) -> AWS_ENDPOINT_URL, keys and region for a job; raises JobFailed
            for a role that cannot be had.
        refusal: (call, ARN, request) -> why the pipeline's role may not make a call; "" if it may.
    """

    account: str
    region: str
    jobs_folder: Path
    images: Images
    make_client: Callable[[str], Any]
    job_environment: Callable[[Mapping[str, Any], str], Mapping[str, str]]
    refusal: Callable[[str, str, Mapping[str, Any]], str]
    _clients: dict[str, Any] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def client(self, service: str) -> Any:
        """Return the shared boto3 client for a service; boto3's clients may be used by several threads."""
        with self._lock:
            if service not in self._clients:
                self._clients[service] = self.make_client(service)
            return self._clients[service]

    def job_context(
        self, name: str, stop: threading.Event, arn: str, request: Mapping[str, Any]
    ) -> JobContext:
        """Return the context of a new job, which acts as its role.

        Raises:
            JobFailed: the pipeline may not start it, or its role cannot be had.
        """
        call = "Invoke" if ":function:" in arn else f"Create{_KINDS[arn.split(':')[5].split('/')[0]]}"
        if refused := self.refusal(call, arn, request):
            service = "lambda" if call == "Invoke" else "sagemaker"
            raise JobFailed(f"ClientError: Failed to invoke {service}:{call}. Error Details: {refused}")
        return JobContext(
            name=name,
            account=self.account,
            region=self.region,
            folder=self.jobs_folder / name,
            images=self.images,
            aws_environment=dict(self.job_environment(request, arn)),
            stop=stop,
        )
