"""The repositories that the templates generate, for tools that read what is in them."""

from __future__ import annotations

import atexit
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

COLLECTION = Path(__file__).resolve().parents[1]


@cache
def repository(template: str) -> Path:
    """A repository of the working tree's template with default answers; it is gone when this process ends.

    Raises:
        RuntimeError: it could not be generated; with what cookiecutter said.
    """
    folder = Path(tempfile.mkdtemp(prefix="generated-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    command = [sys.executable, "-m", "cookiecutter", str(COLLECTION), "--directory", template]
    options = ["--no-input", "--default-config", "--output-dir", str(folder)]
    done = subprocess.run([*command, *options], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{template}: could not be generated: {done.stdout}{done.stderr}")
    return next(folder.iterdir())
