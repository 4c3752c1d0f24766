"""A model's own serving image: pulled from the sandbox's ECR, its server run as a process.

An image of an account that this sandbox has was pushed by a build here (``delivery/docker.py``), and has what
its Dockerfile copies. There are no containers: its entry point runs with the Python that ``sandbox.toml``
declares for the image, which brings packages of its own.
"""

from __future__ import annotations

import io
import json
import re
import shutil
import socket
import tarfile
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from mlops_workbench.sandbox.errors import RESOURCE_LIMIT, JobFailed, SandboxError
from mlops_workbench.sandbox.images import Image
from mlops_workbench.sandbox.jobs.context import JobContext
from mlops_workbench.sandbox.session import current

_URI = re.compile(r"(\d{12})\.dkr\.ecr\.([a-z0-9-]+)\.amazonaws\.com(?:\.cn)?/([^:@]+):([\w.-]+)")


@dataclass(frozen=True)
class Server:
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


def server(context: JobContext, uri: str, image: Image, folder: Path) -> Server:
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
    return Server([*command, "--host", "127.0.0.1"], {**variables, "SAGEMAKER_BIND_TO_PORT": str(port)}, port)


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
