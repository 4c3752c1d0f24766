"""Which Python runs the steps: the images', or the one that stands for them on this machine.

What is compiled for one does not run in another. The Python that this program runs in does not matter: a
laptop and CodeBuild have others than the images.
"""

import os
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from configuration.errors import UserError

from . import images, pins
from .images import Images

STAND_IN = "MLOPS_CONTAINER_PYTHON"
_KEY = "config/model.yaml: serving.runtime"
_PROBE = "import sys, platform; print('%d.%d' % sys.version_info[:2], sys.platform, platform.machine())"


@dataclass(frozen=True)
class Interpreter:
    """A CPython.

    Attributes:
        version: such as 3.12.
        platform: such as "linux x86_64": what sys.platform and platform.machine() say.
    """

    version: str
    platform: str

    def __str__(self) -> str:
        return f"Python {self.version}, {self.platform}"


def of_the_job(
    uses: Images,
    environment: Mapping[str, str] = os.environ,
    python_of: Callable[[str], Path] | None = None,
) -> Interpreter:
    """The interpreter that the training job will have.

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
    return _ask(stand_in) if stand_in else of_images(uses)


def of_images(uses: Images) -> Interpreter:
    """The interpreter of both images: the runtime is taken along from training to inference.

    Raises:
        UserError: they differ, or no wheels are pinned for theirs.
    """
    training, inference = images.python_of(uses.steps), images.python_of(uses.inference)
    if training != inference:
        raise UserError(
            f"{_KEY}: onnx takes its runtime from the training image to the inference image, which needs the "
            f"same Python in both; {uses.steps} has {training}, {uses.inference} has {inference}. "
            "Name images of one Python in model_build/images.py, or set it to torch"
        )
    if training not in pins.PYTHONS:
        raise UserError(
            f"{_KEY}: onnx needs Python {', '.join(pins.PYTHONS)}, for which {pins.FILE} has wheels; "
            f"{uses.steps} has {training}. Name other images in model_build/images.py, or set it to torch"
        )
    return Interpreter(training, pins.IMAGES)


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
