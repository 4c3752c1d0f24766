"""What a benchmark ran on: processor, cores, memory, load, Python and libraries. No names and no paths."""

from __future__ import annotations

import atexit
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
QUIET = 1.0
"""With a load above it, somebody else was at work as well, and the figures are rough."""


def load() -> float | None:
    """How many processes wanted the processor in the last minute; None where nobody counts (Windows)."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else None


#: As the benchmark starts: this module is imported before anything is measured.
LOAD_AT_START = load()


def describe() -> dict[str, Any]:
    """The machine, for the JSON of a result."""
    return {
        "processor": processor(),
        "cores": cores(),
        "memory_gib": memory(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "load_at_start": None if LOAD_AT_START is None else round(LOAD_AT_START, 2),
    }


def processor() -> str:
    """The processor's model."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name" and value.strip():
                return value.strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def cores() -> int:
    """Of the machine, as far as this process may use them."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def memory() -> int | None:
    """Of the machine, in GiB; None where it does not say."""
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30)
    except (AttributeError, ValueError, OSError):
        return None


def rough(described: Mapping[str, Any]) -> bool:
    """Whether the machine was not quiet as the benchmark began."""
    return (described["load_at_start"] or 0) > QUIET


def line(described: Mapping[str, Any], libraries: Mapping[str, str]) -> str:
    """The machine in one line."""
    parts = [described["processor"], f"{described['cores']} cores"]
    parts += [f"{described['memory_gib']} GiB"] if described["memory_gib"] else []
    parts += [described["system"], f"Python {described['python']}"]
    parts += [f"{name} {found}" for name, found in libraries.items()]
    if described["load_at_start"] is not None:
        busy = ": not quiet, so the figures are rough" if rough(described) else ""
        parts.append(f"load {described['load_at_start']:g} at start{busy}")
    return ", ".join(parts)


def container_python() -> Path:
    """The Python that stands for SageMaker's images."""
    return Path(os.environ.get("MLOPS_CONTAINER_PYTHON", ROOT / ".venv-container/bin/python"))


VERSIONS = """
import json, sys
from importlib.metadata import PackageNotFoundError, version
found = {}
for name in sys.argv[1:]:
    try:
        found[name] = version(name)
    except PackageNotFoundError:
        pass
print(json.dumps(found))
"""


def versions(*names: str, python: str | Path | None = None) -> dict[str, str]:
    """Versions of packages, as installed for a Python (this one); what is missing is left out."""
    if python is not None and Path(python) != Path(sys.executable):
        done = subprocess.run([python, "-c", VERSIONS, *names], stdout=subprocess.PIPE, text=True, check=True)
        return dict(json.loads(done.stdout))
    found = {}
    for name in names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def steps(template: str) -> Path:
    """Return a folder with a template's steps as a generated repository has them, shared ones included."""
    folder = Path(tempfile.mkdtemp(prefix="steps-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    for part in (f"{template}/{{{{cookiecutter.project_slug}}}}/steps", "shared/parts/pipeline/steps"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / part, folder, ignore=ignored, dirs_exist_ok=True)
    return folder
