"""A server for one model: its archive is fetched and unpacked, the image's server is started on loopback.

``container/serve.py`` stands in for the images' own server, which is written in Java.
"""

from __future__ import annotations

import http.client
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from mlops_workbench.sandbox.errors import JobFailed
from mlops_workbench.sandbox.jobs import archives, own_image, s3
from mlops_workbench.sandbox.jobs.context import Work
from mlops_workbench.sandbox.jobs.hosts import Cluster, Machine
from mlops_workbench.sandbox.jobs.process import INSIDE, Process

#: A header that InvokeEndpoint passes to the container and back.
CUSTOM_ATTRIBUTES = "X-Amzn-SageMaker-Custom-Attributes"
_SCRIPT = INSIDE / "serve.py"
_PATH = _SCRIPT.with_name("path")
#: A container has 4 minutes to answer /ping ([read] AWS, "Use Your Own Inference Code").
_START = 240.0  # seconds


@dataclass(frozen=True)
class Container:
    """A model's container: image, archive and environment."""

    image: str
    model: str | None
    environment: dict[str, str]


@dataclass(frozen=True)
class Answer:
    """What /invocations answered."""

    status: int
    body: bytes
    content_type: str
    custom_attributes: str = ""


@dataclass(frozen=True)
class ModelServer:
    """A running server."""

    url: str
    process: Process

    def invoke(
        self, body: bytes, content_type: str, accept: str, timeout: float, custom_attributes: str = ""
    ) -> Answer:
        """Send one request.

        Raises:
            TimeoutError: the server does not answer within ``timeout`` seconds.
            OSError: it has ended, or ends meanwhile.
        """
        headers = {"Accept": accept, "Content-Length": str(len(body))}
        if content_type:
            headers["Content-Type"] = content_type
        if custom_attributes:
            headers[CUSTOM_ATTRIBUTES] = custom_attributes
        address = urlsplit(self.url)
        connection = http.client.HTTPConnection(str(address.hostname), address.port, timeout=timeout)
        try:
            connection.request("POST", "/invocations", body, headers)
            response = connection.getresponse()
            return Answer(
                response.status,
                response.read(),
                response.headers.get("Content-Type", ""),
                response.headers.get(CUSTOM_ATTRIBUTES, ""),
            )
        except http.client.HTTPException as error:
            raise OSError(f"the model server's answer is not HTTP: {error}") from error
        finally:
            connection.close()


@contextmanager
def serving(job: Work, container: Container) -> Iterator[ModelServer]:
    """Fetch a container's model, start its server and end it with the block.

    Raises:
        JobFailed: the model cannot be fetched, or the server does not become healthy.
    """
    with fleet(job, container, 1) as (server,):
        yield server


@contextmanager
def fleet(job: Work, container: Container, count: int) -> Iterator[list[ModelServer]]:
    """Start a server of a container on each of ``count`` hosts, together, and end them with the block.

    The archive is fetched once; each host has an unpacked model of its own, which its script may write to.

    Raises:
        JobFailed: the model cannot be fetched, or a server does not become healthy; no process is left.
    """
    cluster = Cluster.of(job, count)
    if container.model:
        archive = job.folder / "model.tar.gz"
        s3.download(job.context.client("s3"), *s3.split(container.model), str(archive))
        for machine in cluster.machines:
            archives.unpack(archive, machine.ml / "model", container.model)
        archive.unlink()
    processes: list[Process] = []
    try:
        begun = []
        for machine in cluster.machines:
            (machine.ml / "model").mkdir(exist_ok=True)
            process, port_file = _begin(job, cluster, machine, container)
            processes.append(process)
            begun.append((process, port_file))
        yield [ModelServer(_wait_healthy(job, *each), each[0]) for each in begun]
    finally:
        for process in processes:
            process.kill()


def start(work: Work, cluster: Cluster, container: Container) -> ModelServer:
    """Start a container's server, whose model lies in ``/opt/ml/model``, and wait until it is healthy.

    Args:
        work: for whose sake; a stop of it ends the waiting.
        cluster: of one machine.
        container: to run; its model has been fetched.

    Raises:
        JobFailed: the image is not declared, or the server does not become healthy; no process is left.
    """
    (machine,) = cluster.machines
    process, port_file = _begin(work, cluster, machine, container)
    try:
        return ModelServer(_wait_healthy(work, process, port_file), process)
    except BaseException:
        process.kill()
        raise


def _begin(work: Work, cluster: Cluster, machine: Machine, container: Container) -> tuple[Process, Path]:
    """Start a server on one machine; returns its process and the file in which it will put its port."""
    image = work.context.images.find(container.image)
    port_file = machine.folder / "port"
    if own_image.is_kept_here(container.image):
        server = own_image.server(work.context, container.image, image, machine.folder / "image")
        port_file.write_text(str(server.port), encoding="utf-8")
        environment = {**server.environment, **container.environment}
        if cluster.paths.unshare is None:
            environment["SAGEMAKER_BASE_DIR"] = "/opt/ml"
        return cluster.start_on(machine, work, server.command, image, environment), port_file
    environment = {"SAGEMAKER_BIND_TO_PORT": "8080", **container.environment}
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [str(_PATH), environment.get("PYTHONPATH")]))
    if cluster.paths.unshare is None:
        environment["SAGEMAKER_BASE_DIR"] = "/opt/ml"  # rewritten, like every other value
    command = [str(image.python), str(_SCRIPT), str(port_file)]
    return cluster.start_on(machine, work, command, image, environment), port_file


def _wait_healthy(work: Work, process: Process, port_file: Path) -> str:
    """Return the server's URL once /ping has answered 200."""
    deadline = time.monotonic() + _START
    while time.monotonic() < deadline:
        work.check_stop()
        if (status := process.poll()) is not None:
            process.wait()
            raise JobFailed(f"ClientError: the model server ended with exit code {status}", exit_code=status)
        if port_file.is_file():
            port = int(port_file.read_text())
            if _ping(port):
                return f"http://127.0.0.1:{port}"
        time.sleep(0.02)
    raise JobFailed(f"ClientError: the model server did not answer /ping within {_START:.0f} s")


def _ping(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", "/ping")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
