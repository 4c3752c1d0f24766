"""What several test files begin with: made once in a run, by whichever worker needs it first."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest


def made_once(name: str, make: Callable[[Path], object], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder that all workers of a run share. Nothing may write into it.

    It lies in the run's own temporary folder, and nothing of it is there in the next run. A worker that needs
    it while another makes it waits.

    Args:
        name: of what is made; one name, one way of making it.
        make: fills the folder that it is given. What it writes must not depend on where that folder is.
    """
    run = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:  # the folder of a worker is in that of the run
        run = run.parent
    made, half = run / "made-once" / name, run / "made-once" / f"{name}-half"
    made.parent.mkdir(exist_ok=True)
    with (made.parent / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # closing the file gives it back
        if not made.exists():
            shutil.rmtree(half, ignore_errors=True)
            half.mkdir()
            make(half)
            half.rename(made)
    return made


def copy_of(
    name: str, make: Callable[[Path], object], into: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Copy what is made once in a run into a folder, which must not be there yet; it may be changed."""
    shutil.copytree(made_once(name, make, tmp_path_factory), into, symlinks=True)
    return into
