"""What a build finds around it: its variables, and a Python that it can change without changing anyone's."""

from __future__ import annotations

import functools
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

from mlops_workbench.sandbox.errors import JobFailed
from mlops_workbench.sandbox.images import Images

#: Of the caller's environment: how to find programs, where this machine gets packages and plug-ins from, and
#: which Python stands for SageMaker's images: a build that picks wheels for a job picks those of that Python.
_KEPT = re.compile(
    r"PATH|LANG|TF_CLI_CONFIG_FILE|TF_PLUGIN_CACHE_DIR|CHECKPOINT_DISABLE|PIP_[A-Z_]+|MLOPS_CONTAINER_PYTHON"
)
_DOCKER = Path(__file__).with_name("docker.py")
#: These would take the build's packages out of its own environment.
_DROPPED = ("PIP_TARGET", "PIP_PREFIX", "PIP_USER", "PIP_ROOT", "PIP_REQUIRE_VIRTUALENV", "PIP_PYTHON")


def inherited() -> dict[str, str]:
    """Return what a build gets of the sandbox's own environment; no proxy reaches the loopback."""
    kept = {
        name: value for name, value in os.environ.items() if _KEPT.fullmatch(name) and name not in _DROPPED
    }
    return {"PATH": os.defpath, "LANG": "C.UTF-8", "NO_PROXY": "*", "no_proxy": "*", **kept}


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
