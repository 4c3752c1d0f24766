"""A server for one model: its archive is fetched and unpacked, the image's server is started on loopback.

``inside/serve.py`` stands in for the server of SageMaker's images, which is written in Java.

An image of an account that this sandbox has was pushed by a build here (``codebuild/docker.py``), and has
what its Dockerfile copies. It is pulled from the sandbox's ECR and its own server is run as a process.
There are no containers: its entry point runs with the Python that ``sandbox.toml`` declares for the image,
which brings packages of its own.
"""

from __future__ import annotations

import http.client
import io
import json
import os
import re
import shutil
import socket
import tarfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from botocore.exceptions import ClientError

from mlops_workbench.sandbox.containers.context import JobContext, Work
from mlops_workbench.sandbox.containers.hosts import Cluster, Machine
from mlops_workbench.sandbox.containers.process import INSIDE, Process
from mlops_workbench.sandbox.errors import RESOURCE_LIMIT, JobFailed, SandboxError
from mlops_workbench.sandbox.images import Image
from mlops_workbench.sandbox.services.sagemaker import s3
from mlops_workbench.sandbox.session import current

_URI = re.compile(r"(\d{12})\.dkr\.ecr\.([a-z0-9-]+)\.amazonaws\.com(?:\.cn)?/([^:@]+):([\w.-]+)")
#: A header that InvokeEndpoint passes to the container and back.
CUSTOM_ATTRIBUTES = "X-Amzn-SageMaker-Custom-Attributes"
_SCRIPT = INSIDE / "serve.py"
_PATH = _SCRIPT.with_name("path")
#: A container has 4 minutes to answer /ping ([read] AWS, "Use Your Own Inference Code").
_START = 240.0  # seconds


@dataclass(frozen=True)
class OwnServer:
    """How the image's server is started.

    Attributes:
        command: the entry point on this machine.
        environment: of the image.
        port: that it is told to listen on, on loopback.
    """

    command: list[str]
    environment: dict[str, str]
    port: int


def account_of(uri: str) -> str | None:
    """Return the account of this sandbox that an image's registry is of; None for AWS's images."""
    found = _URI.fullmatch(uri)
    try:
        return found[1] if found and found[1] in current().accounts else None
    except SandboxError:  # a job by itself
        return None


def is_kept_here(uri: str) -> bool:
    """Whether an image is of a repository of this sandbox's ECR: no other server may stand for it.

    An account's image without such a repository is what ``sandbox.toml`` says it is, as AWS's are.
    """
    from moto.ecr.models import ecr_backends  # not for those who only read sandbox.toml

    owner, found = account_of(uri), _URI.fullmatch(uri)
    return bool(owner and found and found[3] in ecr_backends[owner][found[2]].repositories)


def own_server(context: JobContext, uri: str, image: Image, folder: Path) -> OwnServer:
    """Pull an image as the job that runs it, and say how its server is started.

    Args:
        context: of the job; its role pulls.
        uri: of the image.
        image: the interpreter that stands for it.
        folder: where its files go.

    Raises:
        JobFailed: it is not in the registry, the role may not pull it, or it is not started by Python.
    """
    config = _pull(context, uri, folder)
    entry = [*(config.get("Entrypoint") or []), *(config.get("Cmd") or [])]
    if not entry or Path(entry[0]).name not in ("python", "python3"):
        raise JobFailed(f"{uri}: expected an entry point that begins with python, got {entry}")
    port = _free_port()
    command = [str(image.python), *(_here(argument, folder) for argument in entry[1:])]
    variables = dict(each.split("=", 1) for each in config.get("Env") or [])
    return OwnServer(
        [*command, "--host", "127.0.0.1"], {**variables, "SAGEMAKER_BIND_TO_PORT": str(port)}, port
    )


def _pull(context: JobContext, uri: str, folder: Path) -> dict[str, Any]:
    """Unpack an image's layers; returns its configuration."""
    found = _URI.fullmatch(uri)
    assert found is not None
    owner, _, name, tag = found.groups()
    ecr = context.client("ecr")
    try:
        answer = ecr.batch_get_image(registryId=owner, repositoryName=name, imageIds=[{"imageTag": tag}])
        if not answer["images"]:
            raise JobFailed(
                f"{uri}: expected the image in the registry, found none: the pipeline's build pushes it",
                kind=RESOURCE_LIMIT,
            )
        manifest = json.loads(answer["images"][0]["imageManifest"])

        def blob(digest: str) -> bytes:
            told = ecr.get_download_url_for_layer(registryId=owner, repositoryName=name, layerDigest=digest)
            with urllib.request.urlopen(told["downloadUrl"]) as stream:
                return bytes(stream.read())

        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for layer in manifest["layers"]:
            with tarfile.open(fileobj=io.BytesIO(blob(layer["digest"]))) as archive:
                archive.extractall(folder, filter="data")
        return dict(json.loads(blob(manifest["config"]["digest"])).get("config") or {})
    except ClientError as error:
        raise JobFailed(f"{uri}: cannot be pulled: {error}", kind=RESOURCE_LIMIT) from None


def _here(argument: str, folder: Path) -> str:
    """Return a path of the image as it is on this machine; anything else as it is."""
    path = folder / argument.lstrip("/")
    return str(path) if argument.startswith("/") and path.exists() else argument


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


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
            s3.unpack(archive, machine.ml / "model", container.model)
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
    if is_kept_here(container.image):
        server = own_server(work.context, container.image, image, machine.folder / "image")
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
