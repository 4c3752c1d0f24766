"""The containers that jobs run in, and the Python inside: what is compiled for one does not run in another.

AWS's images are looked up in the SageMaker SDK's own table (no network). One place to change when AWS
publishes newer ones: https://aws.github.io/deep-learning-containers/
The Python that this program runs in does not matter: a laptop and CodeBuild have others than the images.
"""

import os
import re
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

from configuration import UserError

from . import serving_image, wheels
from .config import Settings
from .wheels import Interpreter

# AWS offers this training image for GPU only; it runs on CPU instances as well, where it processes data.
_TRAINING = {"version": "5.3.0", "base_framework_version": "pytorch2.9.0", "py_version": "py312"}
_INFERENCE = {"version": "5.5.3", "base_framework_version": "pytorch2.6.0", "py_version": "py312"}

STAND_IN = "MLOPS_CONTAINER_PYTHON"
_KEY = "config/model.yaml: serving.runtime"
_PROBE = "import sys, platform; print('%d.%d' % sys.version_info[:2], sys.platform, platform.machine())"


@dataclass(frozen=True)
class Images:
    """Image URIs: for the steps, and for the model that they register."""

    steps: str
    inference: str


def of(settings: Settings) -> Images:
    """The images of a repository: AWS's, or its own to serve with.

    Raises:
        UserError: serving_image/ cannot be made an image of.
    """
    found = _of_aws(settings.project.region)
    if settings.model.serving.image == "lean":
        return replace(found, inference=serving_image.uri(settings.project, settings.root))
    return found


def _of_aws(region: str) -> Images:
    # The SDK (3.27) creates a client while it is imported, and that wants a region.
    os.environ.setdefault("AWS_DEFAULT_REGION", region)
    from sagemaker.core import image_uris  # 3 s to import: only when a definition is built

    def uri(scope: str, instance_type: str, versions: dict[str, str]) -> str:
        found: str = image_uris.retrieve(
            framework="huggingface", region=region, image_scope=scope, instance_type=instance_type, **versions
        )
        return found

    return Images(
        steps=uri("training", "ml.g5.xlarge", _TRAINING),
        inference=uri("inference", "ml.m5.xlarge", _INFERENCE),
    )


def interpreter(uses: Images) -> Interpreter:
    """The interpreter of both images: the runtime is taken along from training to inference.

    Raises:
        UserError: they differ, or no wheels are pinned for theirs.
    """
    training, inference = python_of(uses.steps), python_of(uses.inference)
    if training != inference:
        raise UserError(
            f"{_KEY}: onnx takes its runtime from the training image to the inference image, which needs the "
            f"same Python in both; {uses.steps} has {training}, {uses.inference} has {inference}. "
            "Name images of one Python in model_build/images.py, or set it to torch"
        )
    if training not in wheels.PYTHONS:
        raise UserError(
            f"{_KEY}: onnx needs Python {', '.join(wheels.PYTHONS)}, for which {wheels.FILE} has wheels; "
            f"{uses.steps} has {training}. Name other images in model_build/images.py, or set it to torch"
        )
    return Interpreter(training, wheels.IMAGES)


def interpreter_of_the_job(
    uses: Images,
    environment: Mapping[str, str] = os.environ,
    python_of: Callable[[str], Path] | None = None,
) -> Interpreter:
    """The interpreter that the training job will have: the images', or the one that stands for them here.

    Args:
        uses: the images of the steps and of the model.
        environment: says whether this is for a sandbox (AWS_ENDPOINT_URL), and which Python that has. The
            Makefile names a stand-in always; on AWS it does not matter.
        python_of: finds the interpreter that stands for an image, in a sandbox of this process.

    Raises:
        UserError: the images' Pythons differ, no wheels are pinned for them, or the stand-in does not run.
    """
    stand_in = python_of(uses.steps) if python_of else None
    if stand_in is None and _is_here(environment.get("AWS_ENDPOINT_URL", "")) and environment.get(STAND_IN):
        stand_in = Path(environment[STAND_IN])
    return _ask(stand_in) if stand_in else interpreter(uses)


def python_of(uri: str) -> str:
    """The Python inside an image, by its tag: `…-py312-…` is 3.12.

    Raises:
        UserError: the tag does not say.
    """
    found = re.search(r":.*-py(\d)(\d+)(-|$)", uri)
    if found is None:
        raise UserError(f"model_build/images.py: {uri}: expected a tag with its Python, such as -py312-")
    return f"{found[1]}.{found[2]}"


def _is_here(endpoint: str) -> bool:
    """Whether the services that are called run on this machine: a sandbox."""
    return urlsplit(endpoint).hostname in ("127.0.0.1", "localhost", "::1")


def _ask(python: Path) -> Interpreter:
    command = [str(python), "-I", "-c", _PROBE]
    try:
        run = subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace", check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise UserError(
            f"{STAND_IN}: expected the Python that stands for SageMaker's images, got {python} ({error}); "
            "run `make setup`"
        ) from None
    version, platform = run.stdout.strip().split(" ", 1)
    return Interpreter(version, platform)
