"""One instance of an endpoint: a process tree with the image's server and a copy of the model of its own.

Its lines go to CloudWatch Logs, written as the model's execution role. [read] "CloudWatch Logs for Amazon
SageMaker AI": the group is ``/aws/sagemaker/Endpoints/NAME``. Without the permission an endpoint works all
the same and has no log there; the sandbox's folder has it always. How much memory it holds is read from
/proc.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import threading
import time
import uuid
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from mlops_workbench.sandbox.containers.context import JobContext, JobLog, open_log_stream
from mlops_workbench.sandbox.containers.hosts import Cluster
from mlops_workbench.sandbox.errors import RESOURCE_LIMIT, AccessDenied, JobFailed, JobStopped
from mlops_workbench.sandbox.iam import acting
from mlops_workbench.sandbox.images import Images
from mlops_workbench.sandbox.services.sagemaker import models, s3, serving
from mlops_workbench.sandbox.services.sagemaker.endpoints.records import Deployment, Endpoint

_fetching = threading.Lock()
_MOST = 1000  # events in one call; the service allows 10,000 and 1 MiB
_LONGEST = 200_000  # characters of one event; the service allows 256 KiB
_PAGE = os.sysconf("SC_PAGE_SIZE")


class StartFailed(Exception):
    """An instance did not become ready; the message is a FailureReason."""


class Instance:
    """A started instance. It takes one request at a time; who calls ``server.invoke`` sees to that."""

    def __init__(
        self, endpoint: Endpoint, deployment: Deployment, home: Path, images: Images, stop: threading.Event
    ) -> None:
        """Prepare it; nothing runs yet.

        Args:
            endpoint: whose it is.
            deployment: what it runs.
            home: the endpoint's folder.
            images: which Python environment stands for which image.
            stop: ends its start.

        Raises:
            StartFailed: the execution role cannot be had.
        """
        self.id = uuid.uuid4().hex[:16]
        self.deployment = deployment
        self._endpoint = endpoint
        self._home = home
        self._ending = threading.Lock()
        self._server: serving.ModelServer | None = None
        self.told_memory = 0.0
        try:
            environment = acting.environment(
                endpoint.account, endpoint.region, deployment.role_arn, endpoint.name, endpoint.arn
            )
        except AccessDenied as denied:
            raise StartFailed(f"Could not assume role {deployment.role_arn}: {denied}") from None
        folder = home / "deployments" / deployment.id / self.id
        self.context = JobContext(
            endpoint.name, endpoint.account, endpoint.region, folder, images, environment, stop=stop
        )
        self.stream = Stream(
            self.context.client("logs"), group_of(endpoint.name), f"{deployment.variant}/{self.id}"
        )
        self.log = JobLog(
            home / "logs" / f"{deployment.variant}-{self.id}.txt",
            endpoint.name,
            lambda name, line: self.stream.line(line),
        )

    @property
    def folder(self) -> Path:
        """Return where its ``/opt/ml`` is while it runs."""
        return self.context.folder

    @property
    def server(self) -> serving.ModelServer:
        """Return the server of a started instance."""
        assert self._server is not None
        return self._server

    def check_stop(self) -> None:
        """Raise JobStopped when the sandbox is closing."""
        if self.context.stop.is_set():
            raise JobStopped(f"{self.context.name} was stopped")

    def start(self) -> Instance:
        """Put the model in place, start the server and wait until it answers /ping.

        Raises:
            StartFailed: it did not.
            JobStopped: the sandbox is closing.
        """
        try:
            acting.check_pull(
                self.deployment.role_arn,
                self._endpoint.name,
                self.deployment.container.image,
                self._endpoint.region,
            )
            cluster = Cluster.of(self, 1)
            self._place_model(cluster.machines[0].ml / "model")
            self._server = serving.start(self, cluster, self.deployment.container)
        except models.NoModelData as error:
            raise self._failed(str(error)) from None
        except AccessDenied as denied:
            raise self._failed(cannot_pull(self.deployment, denied)) from None
        except JobFailed as error:
            if error.kind == RESOURCE_LIMIT:
                raise self._failed(error.reason) from None
            self.log.line(error.reason)
            raise self._failed(
                f"The primary container for production variant {self.deployment.variant} did not pass the "
                "ping health check. Please check CloudWatch logs for this endpoint."
            ) from None
        except BaseException:
            self.end()
            raise
        return self

    def alive(self) -> bool:
        """Tell whether its server runs."""
        return self._server is not None and self._server.process.poll() is None

    def memory_utilization(self) -> float:
        """Return the memory it holds in percent of the variant's size; 0 where that cannot be told."""
        if not self.alive():
            return 0.0
        return 100 * resident(self.server.process.pid) / (self.deployment.memory_mb * 1024 * 1024)

    def end(self) -> None:
        """End its processes, write its last lines and remove its files, but for the log."""
        with self._ending:
            if self._server is not None:
                self._server.process.kill()
            self.stream.flush()
            self.log.close()
            shutil.rmtree(self.folder, ignore_errors=True)

    def _failed(self, reason: str) -> StartFailed:
        self.end()
        return StartFailed(reason)

    def _place_model(self, folder: Path) -> None:
        """Copy the deployment's model, which is fetched and unpacked once, at its first instance."""
        folder.mkdir(parents=True)
        uri = self.deployment.container.model
        if not uri:
            return
        unpacked = self._home / "deployments" / self.deployment.id / "model"
        with _fetching:
            if not unpacked.is_dir():
                self._fetch_model(uri, unpacked)
        shutil.copytree(unpacked, folder, symlinks=True, dirs_exist_ok=True)

    def _fetch_model(self, uri: str, unpacked: Path) -> None:
        archive, partial = self.folder / "model.tar.gz", self.folder / "model.new"
        role, region = self.deployment.role_arn, self._endpoint.region
        models.fetch_model_data(self.context.client("s3"), uri, role, region, archive)
        try:
            s3.unpack(archive, partial, uri)
        except JobFailed as error:
            raise models.NoModelData(
                f'Failed to extract model data archive for container "primary" from URL "{uri}". Please '
                f"ensure that the object located at the URL is a valid tar.gz archive. ({error.reason})"
            ) from None
        archive.unlink()
        partial.rename(unpacked)


def cannot_pull(deployment: Any, denied: AccessDenied) -> str:
    """Return the message for an image that the execution role may not pull."""
    return (
        f"Role {deployment.role_arn} cannot pull {deployment.container.image}. Ensure that the role exists "
        f"and the image was granted pull permission. ({denied})"
    )


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
            open_log_stream(self._client, self.group, self.name)
            self._made = True
        self._client.put_log_events(**names, logEvents=events)


def resident(root: int) -> int:
    """Return the bytes that a process's descendants hold; 0 where there is no /proc.

    What processes share counts for each of them; an instance is one process besides its launchers.
    """
    children: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, IndexError, ValueError):
            # After the command's name, which may hold anything: state, parent, …
            parent = int(path.read_bytes().rpartition(b")")[2].split()[1])
            children.setdefault(parent, []).append(int(path.parent.name))
    total, queue = 0, list(children.get(root, []))
    while queue:
        process = queue.pop()
        queue += children.get(process, [])
        with contextlib.suppress(OSError, IndexError, ValueError):
            total += int(Path(f"/proc/{process}/statm").read_text().split()[1]) * _PAGE
    return total
