"""Other programs, asked for a word about themselves."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Mapping, NamedTuple, Sequence


class Done(NamedTuple):
    """How a program ended; `status` is None when it did not run, or not to its end."""

    status: int | None
    out: str
    err: str


def run(
    words: Sequence[str],
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
    seconds: float = 10,
) -> Done:
    """Runs a program and returns what it says; never raises for what the program does."""
    try:
        done = subprocess.run(
            list(words),
            cwd=folder,
            env=None if environment is None else dict(environment),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=seconds,
        )
    except subprocess.TimeoutExpired:
        return Done(None, "", f"no answer within {seconds:g} s")
    except (OSError, ValueError) as error:
        return Done(None, "", str(error))
    return Done(done.returncode, done.stdout, done.stderr)
