"""What an image runs as ``train``: the real toolkit if its environment has it, else ``container/train.py``.

The toolkit of SageMaker's images, ``sagemaker-training``, comes as source with a C extension and twenty
dependencies: a laptop without a compiler cannot install it. Where it is installed it is used; where not, a
script of the standard library keeps the same contract. A test runs both and compares.
"""

from __future__ import annotations

import functools
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mlops_workbench.sandbox.images import Image
from mlops_workbench.sandbox.jobs import archives, s3
from mlops_workbench.sandbox.jobs.hosts import Machine
from mlops_workbench.sandbox.jobs.process import INSIDE

_SCRIPT = INSIDE / "train.py"
#: What SageMaker's PyTorch images set; the package ``sagemaker-pytorch-training`` has it.
_FRAMEWORK = "sagemaker_pytorch_container.training"


def command(image: Image) -> list[str]:
    """Return the command that stands for an image's own entry point."""
    real = image.python.with_name("train")
    return [str(real)] if real.is_file() else [str(image.python), str(_SCRIPT)]


def fetch_code(client: Any, image: Image, parameters: Mapping[str, str], machine: Machine) -> None:
    """Unpack the archive that ``sagemaker_submit_directory`` names, unless the real toolkit will do it.

    Raises:
        JobFailed: the archive cannot be read, or is not one.
    """
    code = machine.ml / "code"
    code.mkdir(exist_ok=True)
    uri = _text(parameters.get("sagemaker_submit_directory", ""))
    if command(image)[-1] != str(_SCRIPT) or not uri.startswith("s3://"):
        return
    archive = machine.folder / "source.tar.gz"
    s3.download(client, *s3.split(uri), str(archive))
    archives.unpack(archive, code, uri)
    archive.unlink()


def _text(value: str) -> str:
    """Read a hyperparameter that may be a JSON string, as SDK v2 writes them."""
    return value.strip('"')


def environment(image_uri: str, image: Image) -> dict[str, str]:
    """Return the variables that the image would set for its toolkit."""
    if "pytorch" in image_uri and image.python.with_name("train").is_file() and _has_framework(image.python):
        return {"SAGEMAKER_TRAINING_MODULE": f"{_FRAMEWORK}:main"}
    return {}


@functools.cache
def _has_framework(python: Path) -> bool:
    probe = f"import importlib.util as u; u.find_spec({_FRAMEWORK.split('.')[0]!r}) or exit(1)"
    return subprocess.run([python, "-c", probe], capture_output=True, check=False).returncode == 0
