"""The Python environments that the Makefile makes, and which of them can run what."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Sequence

from .finding import Finding, note, ok, problem
from .processes import run

#: folder -> (the command that makes it, what it is for)
FOLDERS = {
    ".venv": ("make setup", "checks, runs and asks"),
    ".venv-container": ("make setup-container", "stands for SageMaker's images on this machine"),
    ".venv-delivery": ("make setup-delivery", "registers and publishes"),
}
STAMP = ".requirements.sha256"  # tools/environment.py writes it when everything is installed


def python(folder: Path) -> Path:
    """The interpreter of an environment."""
    return folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def findings(root: Path) -> list[Finding]:
    """Whether they are there, whole, and still run."""
    return [_environment(root, name) for name in FOLDERS]


def _environment(root: Path, name: str) -> Finding:
    command, purpose = FOLDERS[name]
    folder = root / name
    if not folder.is_dir():
        return note(f"{name} ({purpose}): not made yet; the commands that need it make it", command)
    if run([str(python(folder)), "-c", "pass"]).status != 0:
        # the Python that it was made with is gone, or the folder was moved or copied here
        return problem(
            f"{name} ({purpose}): its Python does not run", f"delete the folder {name}, then: {command}"
        )
    if not (folder / STAMP).is_file():
        return note(f"{name} ({purpose}): not installed to the end", command)
    return ok(f"{name} ({purpose}): there")


def able(root: Path, modules: Sequence[str], *, of_the_build: bool = False) -> Path | None:
    """An interpreter that has these modules: this one, or one of the environments; None: there is none.

    Args:
        root: the repository.
        modules: what has to be importable.
        of_the_build: only one in which everything of the build may be expected: not just any Python that
            happens to have the modules.
    """
    words = "import importlib.util as u, sys; sys.exit(any(u.find_spec(m) is None for m in sys.argv[1:]))"
    candidates = [Path(sys.executable), python(root / ".venv-delivery"), python(root / ".venv")]
    if of_the_build:
        in_one = sys.prefix != sys.base_prefix
        candidates = [python(root / ".venv"), *([Path(sys.executable)] if in_one else [])]
    for candidate in candidates:
        if candidate.is_file() and run([str(candidate), "-c", words, *modules], root).status == 0:
            return candidate
    return None
