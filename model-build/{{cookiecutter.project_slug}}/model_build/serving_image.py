"""The repository's own serving image: what its tag is, and how a build brings it into Amazon ECR.

``python -m model_build.serving_image`` is what buildspecs/serving-image.yml runs. The tag is made of the
content of serving_image/: the same content is the same image, built once; a model that was registered with
it is served by it for ever, whatever the folder has become.
"""

import base64
import hashlib
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from configuration import UserError

from . import aws
from .config import ProjectConfig
from .load import load

FOLDER = "serving_image"
PINS = f"{FOLDER}/requirements.txt"
PLATFORM = "linux/amd64"
"""Of requirements.txt's hashes, and of the machines of endpoints."""

_PYTHON = re.compile(r"(?mi)^FROM\s+\S*\bpython:(\d)\.(\d+)[-@\w.:]*$")

Say = Callable[[str], None]
Run = Callable[..., Any]


def repository(project: ProjectConfig) -> str:
    """The name of the repository in Amazon ECR; terraform/delivery/serving_image.tf makes it."""
    return f"{project.slug}-serving"


def registry(project: ProjectConfig) -> str:
    """The host name of the registry: that of the shared services account."""
    suffix = "amazonaws.com.cn" if project.partition == "aws-cn" else "amazonaws.com"
    return f"{project.accounts.shared_services}.dkr.ecr.{project.region}.{suffix}"


def uri(project: ProjectConfig, root: Path) -> str:
    """The image that this repository's content stands for.

    Raises:
        UserError: there is no such folder, or its Dockerfile does not say which Python it has.
    """
    return f"{registry(project)}/{repository(project)}:{tag(root / FOLDER)}"


def python(folder: Path) -> str:
    """The Python in the image, by its Dockerfile: 3.12.

    Raises:
        UserError: as `uri`.
    """
    path = folder / "Dockerfile"
    if not path.is_file():
        raise UserError(
            f"{FOLDER}/Dockerfile: expected the image of serving.image lean, found no such file; "
            "take it from the template, or set config/model.yaml: serving.image to huggingface"
        )
    found = _PYTHON.search(path.read_text(encoding="utf-8"))
    if found is None:
        raise UserError(f"{FOLDER}/Dockerfile: FROM: expected an image of Python such as python:3.12-slim")
    return f"{found[1]}.{found[2]}"


def tag(folder: Path) -> str:
    """16 hexadecimal digits over names and contents, and the Python inside, as AWS's images say it: -py312.

    Raises:
        UserError: as `uri`.
    """
    version, files = python(folder), _files(folder)
    whole = hashlib.sha256()
    for name, path in files.items():
        whole.update(f"{name}\0{hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return f"{whole.hexdigest()[:16]}-py{version.replace('.', '')}"


def publish(project: ProjectConfig, root: Path, ecr: Any, run: Run, say: Say) -> str:
    """Build and push the image, unless it is in the registry.

    Args:
        project: whose image it is.
        root: of the repository.
        ecr: a client.
        run: runs docker, as `subprocess.run` does.
        say: is told what happens.

    Returns:
        The image's URI.

    Raises:
        UserError: the registry or docker refused.
    """
    image = uri(project, root)
    name, wanted = repository(project), image.rpartition(":")[2]
    with aws.explained(f"ECR repository {name}"):
        try:
            ecr.describe_images(repositoryName=name, imageIds=[{"imageTag": wanted}])
        except ecr.exceptions.ImageNotFoundException:
            pass
        except ecr.exceptions.RepositoryNotFoundException:
            raise UserError(
                f"ECR repository {name}: expected it in {registry(project)}, found none; config/model.yaml: "
                "serving.image lean needs it: `make register` makes it"
            ) from None
        else:
            say(f"{image} is there already")
            return image
        token = ecr.get_authorization_token()["authorizationData"][0]["authorizationToken"]
    user, _, password = base64.b64decode(token).decode().partition(":")
    _docker(run, ["login", "--username", user, "--password-stdin", registry(project)], password)
    _docker(run, ["build", "--platform", PLATFORM, "--tag", image, str(root / FOLDER)])
    _docker(run, ["push", image])
    say(f"pushed {image}")
    return image


def _docker(run: Run, arguments: list[str], given: str = "") -> None:
    sys.stdout.flush()  # docker writes there, too
    done = run(["docker", *arguments], input=given, encoding="utf-8", check=False)
    if done.returncode:
        raise UserError(f"docker {arguments[0]} ended with {done.returncode}; what it said is above")


def _files(folder: Path) -> dict[str, Path]:
    """What the image can be made of: name -> file, in order."""
    paths = (path for path in folder.rglob("*") if path.is_file())
    named = {path.relative_to(folder).as_posix(): path for path in paths}
    return {
        name: named[name] for name in sorted(named) if not name.startswith(".") and "__pycache__" not in name
    }


def main() -> int:
    """Publish the image of the repository in this folder."""
    try:
        project = load(Path.cwd()).project
        ecr = aws.session(project.region).client("ecr")
        publish(project, Path.cwd(), ecr, subprocess.run, print)
    except UserError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
