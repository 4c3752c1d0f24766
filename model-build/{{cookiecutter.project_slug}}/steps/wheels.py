"""Libraries that SageMaker's images lack and this training brings: ``wheels/*.whl`` beside train.py.

They are unpacked for the export, not installed: nothing is downloaded or resolved in the job, and the image's
own packages stay as they are.
"""

from __future__ import annotations

import platform
import shutil
import sys
import zipfile
from pathlib import Path

from packaging.tags import Tag, sys_tags
from packaging.utils import InvalidWheelFilename, parse_wheel_filename

from engines import RUNTIMES
from failure import StepError

FOLDER = Path(__file__).with_name("wheels")
NEEDED = ("onnx", "onnxruntime", "protobuf", "ml-dtypes")
"""What the export imports; NumPy, packaging, sympy and typing_extensions are in the images, with PyTorch."""

SERVED = ("__init__.py", "capi", "LICENSE", "ThirdPartyNotices.txt")
"""Of ``onnxruntime``: what answering needs. The rest is for making models."""

UNSERVED = ("__pycache__", "libonnxruntime.so.*")
"""Of ``capi``: the library for programs in C, half of the wheel. The Python module has all of it inside."""


def find(folder: Path | None = None) -> dict[str, Path]:
    """Return the wheels of ``NEEDED``, by name.

    Raises:
        StepError: one is missing, or is for another Python or platform.
    """
    folder = folder or FOLDER
    here = set(sys_tags())
    found: dict[str, Path] = {}
    other: dict[str, Path] = {}
    for path in sorted(folder.glob("*.whl")):
        try:
            name, _, _, tags = parse_wheel_filename(path.name)
        except InvalidWheelFilename:
            continue
        (found if here & tags else other)[str(name)] = path
    if missing := [name for name in NEEDED if name not in found]:
        what = f"Python {platform.python_version()} on {sys.platform} {platform.machine()}"
        there = [other[name].name for name in missing if name in other] or ["none"]
        raise StepError(
            f"{folder}: expected wheels of {', '.join(missing)} for {what}, got {', '.join(there)}"
        )
    return found


def unpack(wheels: dict[str, Path], folder: Path) -> None:
    """Unpack the wheels into a folder that can be on Python's path.

    Raises:
        StepError: one is damaged.
    """
    for path in wheels.values():
        try:
            with zipfile.ZipFile(path) as archive:
                archive.extractall(folder)
        except (zipfile.BadZipFile, OSError) as error:
            raise StepError(f"{path}: cannot be unpacked: {error}") from None


def copy_runtime(wheel: Path, unpacked: Path, model: Path) -> Path:
    """Copy what serving needs of ONNX Runtime into a model; return its folder.

    Args:
        wheel: of onnxruntime, whose name tells for which Python and platform it is.
        unpacked: what is in it.
        model: the model's folder.
    """
    tags = parse_wheel_filename(wheel.name)[3]
    tag = min(tags, key=_order)
    place = model / RUNTIMES / f"{tag.interpreter}-{tag.platform}"
    shutil.rmtree(place, ignore_errors=True)
    (place / "onnxruntime").mkdir(parents=True)
    for name in SERVED:
        source = unpacked / "onnxruntime" / name
        if source.is_dir():
            shutil.copytree(source, place / "onnxruntime" / name, ignore=shutil.ignore_patterns(*UNSERVED))
        elif source.is_file():
            shutil.copyfile(source, place / "onnxruntime" / name)
    return place


def _order(tag: Tag) -> tuple[bool, str]:
    """Put the tags that say a version of glibc (``manylinux_2_28_…``) before those that do not."""
    return not tag.platform.startswith("manylinux_"), tag.platform
