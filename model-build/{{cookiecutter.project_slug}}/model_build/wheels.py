"""The wheels that the training job gets for `serving.runtime: onnx`: of which Python, from where.

SageMaker's images have neither onnx nor onnxruntime, and a job may have no way to a package index. The build
has one: it downloads what requirements/onnx.txt pins. The wheels lie beside train.py, and the one that serves
travels on in model.tar.gz.
"""

import hashlib
import os
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from configuration.errors import UserError

from . import images, package_index, pins
from .images import Images
from .pins import Pin

STAND_IN = "MLOPS_CONTAINER_PYTHON"
_CACHE = ".wheels"
_PROBE = "import sys, sysconfig; print('%d.%d' % sys.version_info[:2], sysconfig.get_platform())"
_KEY = "config/model.yaml: serving.runtime"

Say = Callable[[str], None]


def fetch(root: Path, python: str, say: Say) -> dict[str, Path]:
    """The pinned wheels for a Python, from .wheels/ or else from the package index: name -> file.

    Raises:
        UserError: a pin is wrong, or its wheel cannot be had; the message says which and what to do.
    """
    wanted = pins.read(root)
    folder = root / _CACHE / f"cp{python.replace('.', '')}-linux_x86_64"
    found = present(folder, wanted)
    if missing := [pin for pin in wanted if pin not in found]:
        say(f"downloading the wheels of {pins.FILE} for Python {python}, {package_index.PLATFORM}")
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as fresh:
            package_index.download(root / pins.FILE, missing, python, Path(fresh))
            for wheel in Path(fresh).glob("*.whl"):
                wheel.replace(folder / wheel.name)  # whole or not at all, whoever else is at it
        found = present(folder, wanted)
        if gone := [pin for pin in wanted if pin not in found]:
            raise UserError(f"{pins.FILE}: {gone[0]}: expected its wheel in {folder}, found none")
        size = sum(path.stat().st_size for path in found.values())
        say(f"{len(found)} wheels, {size / 1e6:.1f} MB, each with its hash; they stay in {_CACHE}/")
    return {path.name: path for path in found.values()}


def present(folder: Path, wanted: tuple[Pin, ...]) -> dict[Pin, Path]:
    """The pins whose wheel is in the folder, with a content that was pinned: a name proves nothing."""
    found: dict[Pin, Path] = {}
    for path in sorted(folder.glob("*.whl")):
        name, version = path.name.split("-")[:2]
        for pin in wanted:
            same = (pins.normal(name), version) == (pin.name, pin.version)
            if same and pin not in found and _sha256(path) in pin.hashes:
                found[pin] = path
    return found


def python_for(
    uses: Images,
    environment: Mapping[str, str] = os.environ,
    python_of: Callable[[str], Path] | None = None,
) -> str:
    """The Python that the wheels have to fit: the images', or the one that stands for them on this machine.

    Args:
        uses: the images of the steps and of the model.
        environment: says whether this is for a sandbox (AWS_ENDPOINT_URL), and which Python that has.
        python_of: finds the interpreter that stands for an image, in a sandbox of this process.

    Raises:
        UserError: the images' Pythons differ, or no wheels are pinned for the Python.
    """
    stand_in = python_of(uses.steps) if python_of else None
    if stand_in is None and _is_here(environment.get("AWS_ENDPOINT_URL", "")) and environment.get(STAND_IN):
        stand_in = Path(environment[STAND_IN])
    python = _version_of(stand_in) if stand_in else of_both(uses)
    if python not in pins.PYTHONS:
        raise UserError(
            f"{_KEY}: onnx needs Python {', '.join(pins.PYTHONS)}, for which {pins.FILE} has wheels; "
            f"{stand_in or uses.steps} has {python}. Use another, or set it to torch"
        )
    return python


def of_both(uses: Images) -> str:
    """The Python of both images: what was exported in one runs in the other.

    Raises:
        UserError: they differ.
    """
    training, inference = images.python_of(uses.steps), images.python_of(uses.inference)
    if training != inference:
        raise UserError(
            f"{_KEY}: onnx takes its runtime from the training image to the inference image, which needs the "
            f"same Python in both; {uses.steps} has {training}, {uses.inference} has {inference}. "
            "Name images of one Python in model_build/images.py, or set it to torch"
        )
    return training


def _is_here(endpoint: str) -> bool:
    """Whether the services that are called run on this machine: a sandbox."""
    return urlsplit(endpoint).hostname in ("127.0.0.1", "localhost", "::1")


def _version_of(python: Path) -> str:
    """The version of the interpreter that stands for the images; it has to be of their platform, too."""
    command = [str(python), "-I", "-c", _PROBE]
    try:
        run = subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace", check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise UserError(
            f"{STAND_IN}: expected the Python that stands for SageMaker's images, got {python} ({error}); "
            "run `make setup`"
        ) from None
    version, platform = run.stdout.split()
    if platform != "linux-x86_64":
        raise UserError(
            f"{_KEY}: onnx needs a Python for {package_index.PLATFORM}, as the images have: {pins.FILE} has "
            f"wheels for no other; {python} is for {platform}. Set it to torch for runs on this machine"
        )
    return version


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
