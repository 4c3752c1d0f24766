"""The wheels that the training job gets for `serving.runtime: onnx`: of which Python, from where.

SageMaker's images have neither onnx nor onnxruntime, and a job may have no way to a package index. The build
has one: it downloads what requirements/onnx.txt pins. The wheels lie beside train.py, and the one that serves
travels on in model.tar.gz.
"""

import hashlib
import re
import tempfile
from collections.abc import Callable
from pathlib import Path

from configuration.errors import UserError

from . import package_index, pins
from .interpreters import Interpreter
from .pins import Pin

_CACHE = ".wheels"

Say = Callable[[str], None]


def fetch(root: Path, interpreter: Interpreter, say: Say) -> dict[str, Path]:
    """The pinned wheels for an interpreter, from .wheels/ or else from the package index: name -> file.

    None for one that no wheels are pinned for, as a laptop may have: PyTorch serves the model then.

    Raises:
        UserError: a pin is wrong, or its wheel cannot be had; the message says which and what to do.
    """
    wanted = pins.read(root)
    if interpreter.version not in pins.PYTHONS or interpreter.platform not in pins.PLATFORMS:
        say(f"note: {pins.FILE} has no wheels for {interpreter}, so that PyTorch will serve the model here")
        return {}
    folder = root / _CACHE / re.sub(r"[^\w.]+", "-", f"{interpreter.version} {interpreter.platform}")
    found = present(folder, wanted)
    if missing := [pin for pin in wanted if pin not in found]:
        say(f"downloading the wheels of {pins.FILE} for {interpreter}")
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as fresh:
            package_index.download(root / pins.FILE, missing, interpreter, Path(fresh))
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


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
