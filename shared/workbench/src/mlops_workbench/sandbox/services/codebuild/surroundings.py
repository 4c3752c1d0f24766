"""What a build finds around it: its variables, a Python of its own, its log.

It can change that Python without changing anyone's. Its lines go to CloudWatch Logs with the build's own
role; secret values do not reach a log.
"""

from __future__ import annotations

import functools
import os
import re
import shlex
import subprocess
import sys
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from mlops_workbench.sandbox.containers.context import open_log_stream
from mlops_workbench.sandbox.errors import JobFailed
from mlops_workbench.sandbox.images import Images

#: Of the caller's environment: how to find programs, where this machine gets packages and plug-ins from, how
#: much memory Terraform may use for speed (it is a Go program), and which Python stands for SageMaker's
#: images: a build that picks wheels for a job picks those of that Python.
_KEPT = re.compile(
    r"PATH|LANG|TF_CLI_CONFIG_FILE|TF_PLUGIN_CACHE_DIR|CHECKPOINT_DISABLE|GOGC|GOMEMLIMIT|PIP_[A-Z_]+"
    r"|MLOPS_CONTAINER_PYTHON"
)
_DOCKER = Path(__file__).with_name("docker.py")
#: These would take the build's packages out of its own environment.
_DROPPED = ("PIP_TARGET", "PIP_PREFIX", "PIP_USER", "PIP_ROOT", "PIP_REQUIRE_VIRTUALENV", "PIP_PYTHON")
#: After each install pip would look through all packages of the interpreter's own environment for conflicts,
#: which are none of the build's. Of an option that switches off, pip takes the state: 0 is off.
_QUICKER = {"PIP_NO_WARN_CONFLICTS": "0"}
_MASK = "***"
#: Shorter values would turn half of the log into asterisks, and are no secrets.
_SHORTEST = 3  # characters
_EVERY = 0.5  # seconds between two writes
_MOST = 1000  # events in one call; the service allows 10,000 and 1 MiB
_LONGEST = 200_000  # characters of one event; the service allows 256 KiB


def inherited() -> dict[str, str]:
    """Return what a build gets of the sandbox's own environment; no proxy reaches the loopback."""
    kept = {
        name: value for name, value in os.environ.items() if _KEPT.fullmatch(name) and name not in _DROPPED
    }
    return {"PATH": os.defpath, "LANG": "C.UTF-8", "NO_PROXY": "*", "no_proxy": "*", **_QUICKER, **kept}


def python_for(image: str, images: Images) -> Path:
    """Return the interpreter that ``sandbox.toml`` declares for a project's image, or the sandbox's own.

    Raises:
        JobFailed: the declared interpreter does not exist.
    """
    if any(entry.match.pattern and entry.match.search(image) for entry in images.entries):
        return images.python_for(image)
    return Path(sys.executable)


def make_python(python: Path, folder: Path) -> Path:
    """Make a virtual environment in ``folder`` that sees an interpreter's packages; return its bin folder.

    What ``pip install`` adds goes into the folder. A package of the interpreter's own environment that
    another version is asked for stays where it is and is shadowed.
    """
    packages = _site_packages(python)
    # An interpreter without pip gets Python's bundled one, which takes seconds.
    options = ["--without-pip"] if _has_pip(python) else []
    command = [str(python), "-I", "-m", "venv", *options, str(folder)]
    subprocess.run(command, check=True, capture_output=True, env=inherited())
    own = _site_packages(folder / "bin" / "python")[0]
    if not Path(own).resolve().is_relative_to(folder.resolve()):
        raise JobFailed(f"{folder}: expected a virtual environment, got one whose packages are in {own}")
    # addsitedir, not the bare path: packages that are installed as links have .pth files of their own.
    lines = [f"import site; site.addsitedir({package!r})" for package in packages]
    (Path(own) / "sandbox.pth").write_text("\n".join(lines) + "\n", encoding="utf-8")
    for name in ("pip", "pip3"):
        script = folder / "bin" / name
        if not script.exists():
            script.write_text('#!/bin/sh\nexec "$(dirname "$0")/python" -m pip "$@"\n', encoding="utf-8")
            script.chmod(0o755)
    return folder / "bin"


def make_docker(binaries: Path) -> None:
    """Put a ``docker`` on a build's path that does without containers what ``docker.py`` says."""
    script = binaries / "docker"
    command = f"exec {shlex.quote(sys.executable)} -I {shlex.quote(str(_DOCKER))}"
    script.write_text(f'#!/bin/sh\n{command} "$@"\n', encoding="utf-8")
    script.chmod(0o755)


@functools.cache
def _has_pip(python: Path) -> bool:
    probe = "import importlib.util as u; u.find_spec('pip') or exit(1)"
    return subprocess.run([python, "-I", "-c", probe], capture_output=True, check=False).returncode == 0


def _site_packages(python: Path) -> list[str]:
    paths = "dict.fromkeys([s.get_path('purelib'), s.get_path('platlib')])"
    probe = f"import sysconfig as s; print(*{paths}, sep='\\n')"
    shown = subprocess.run([python, "-I", "-c", probe], check=True, capture_output=True, text=True)
    return shown.stdout.splitlines()


class Mask:
    """Replaces values by ``***``, as CodeBuild does with values of Parameter Store and Secrets Manager."""

    def __init__(self, values: Iterable[str] = ()) -> None:
        # The log comes line by line, so that a value of several lines is hidden line by line.
        lines = {line.strip() for value in values for line in value.splitlines()}
        longest_first = sorted((line for line in lines if len(line) >= _SHORTEST), key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, longest_first))) if longest_first else None

    def __call__(self, text: str) -> str:
        """Return the text without the values."""
        return self._pattern.sub(_MASK, text) if self._pattern else text


class LogStream:
    """One stream. ``close`` writes what is left."""

    def __init__(self, client: Any, group: str, stream: str) -> None:
        """Make the stream, and the group if there is none yet.

        Raises:
            ClientError: the role may not.
        """
        self._client, self.group, self.stream = client, group, stream
        self._waiting: list[dict[str, Any]] = []
        self._lock = threading.Lock()
        self._writing = threading.Lock()
        self._written = 0.0
        self.lost = 0
        open_log_stream(client, group, stream)

    def line(self, text: str) -> None:
        """Add a line; it is written within the next calls."""
        with self._lock:
            # The service refuses an empty message.
            event = {"timestamp": int(time.time() * 1000), "message": text[:_LONGEST] or " "}
            self._waiting.append(event)
            due = time.monotonic() - self._written >= _EVERY or len(self._waiting) >= _MOST
        if due:
            self._flush()

    def close(self) -> None:
        """Write what is left."""
        self._flush()

    def _flush(self) -> None:
        with self._writing:
            with self._lock:
                events, self._waiting = self._waiting, []
                self._written = time.monotonic()
            for start in range(0, len(events), _MOST):
                batch = events[start : start + _MOST]
                try:
                    self._client.put_log_events(
                        logGroupName=self.group, logStreamName=self.stream, logEvents=batch
                    )
                except ClientError:
                    # A build does not end because its log is full or was deleted; its file has every line.
                    self.lost += len(batch)
