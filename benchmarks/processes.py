"""Time, processor time and peak memory of a process of its own.

The peak of a process begins with that of the process that started it, so a small one does.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

LAUNCHER = """
import json, resource, subprocess, sys, time
began = time.perf_counter()
code = subprocess.run(sys.argv[2:], stdout=subprocess.DEVNULL).returncode
seconds = time.perf_counter() - began
usage = resource.getrusage(resource.RUSAGE_CHILDREN)
unit = 1 << 20 if sys.platform == "darwin" else 1 << 10  # ru_maxrss: bytes on macOS, KiB on Linux
with open(sys.argv[1], "w", encoding="utf-8") as file:
    json.dump([seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / unit], file)
sys.exit(code)
"""


class Usage(NamedTuple):
    """What one process took: seconds, seconds of processor time, and its peak memory in MiB."""

    seconds: float
    processor: float
    peak: float


def run(command: Sequence[str | Path], env: Mapping[str, str] | None = None) -> Usage:
    """Run a command to its end; what it prints is dropped, its errors are shown.

    Args:
        command: program and arguments.
        env: variables besides this process's.

    Raises:
        SystemExit: it failed.
    """
    with tempfile.TemporaryDirectory() as name:
        found = Path(name) / "usage.json"
        launched = [sys.executable, "-I", "-c", LAUNCHER, str(found), *map(str, command)]
        if subprocess.run(launched, env={**os.environ, **(env or {})}).returncode:
            raise SystemExit(f"failed: {' '.join(map(str, command))[:300]}")
        return Usage(*json.loads(found.read_text(encoding="utf-8")))
