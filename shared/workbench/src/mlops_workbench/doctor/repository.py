"""What is in the repository: its Python environments, the workbench's wheel, its own `check`."""

from __future__ import annotations

import hashlib
import os
import re
import sys
from pathlib import Path
from typing import Mapping, Sequence

from .looking import NOTE, OK, PROBLEM, Finding, note, ok, problem, run

#: folder -> (the command that makes it, what it is for)
FOLDERS = {
    ".venv": ("make setup", "checks, runs and asks"),
    ".venv-container": ("make setup-container", "stands for SageMaker's images on this machine"),
    ".venv-delivery": ("make setup-delivery", "registers and publishes"),
}
STAMP = ".requirements.sha256"  # tools/environment.py writes it when everything is installed
WORKBENCH = "requirements/workbench.txt"
AS_COMMITTED = "git checkout HEAD -- wheels requirements/workbench.txt"
PACKAGES = ("model_build", "serverless_inference", "batch_inference")
CHECK_NEEDS = ("pydantic", "yaml", "boto3")
CHECK_SECONDS = 120  # a pipeline's definition is built with the SageMaker SDK, which takes its time to load
MARKS = {"ok": OK, "note": NOTE, "PROBLEM": PROBLEM}
NO_CREDENTIALS = "there are no AWS credentials"


def python(folder: Path) -> Path:
    """The interpreter of an environment."""
    return folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def environments(root: Path) -> list[Finding]:
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


def workbench(root: Path) -> Finding:
    """Whether the one wheel that is there is the one that requirements/workbench.txt names."""
    found = sorted((root / "wheels").glob("mlops_workbench-*.whl"))
    try:
        named = (root / WORKBENCH).read_text(encoding="utf-8")
    except (OSError, UnicodeError):
        named = ""
    wanted = re.search(r"^\./wheels/(\S+) --hash=sha256:([0-9a-f]{64})\s*$", named, re.MULTILINE)
    if wanted is None:
        return problem(
            f"workbench: expected {WORKBENCH} to name a wheel and its SHA-256, got none", AS_COMMITTED
        )
    name, digest = wanted[1], wanted[2]
    if [wheel.name for wheel in found] != [name]:
        got = ", ".join(wheel.name for wheel in found) or "none"
        fix = f"git rm the others, then: {AS_COMMITTED}" if len(found) > 1 else AS_COMMITTED
        return problem(f"workbench: expected wheels/{name} ({WORKBENCH}), got {got}", fix)
    actual = hashlib.sha256(found[0].read_bytes()).hexdigest()
    if actual != digest:
        return problem(
            f"workbench: wheels/{name}: expected SHA-256 {digest} ({WORKBENCH}), got {actual}", AS_COMMITTED
        )
    return ok(f"workbench {name.split('-')[1]}: wheels/{name}, SHA-256 {actual}, as {WORKBENCH} says")


def package(root: Path) -> str | None:
    """The package of this template, whose command line has a check."""
    return next((name for name in PACKAGES if (root / name / "__main__.py").is_file()), None)


def configuration(root: Path, *, with_aws: bool) -> list[Finding]:
    """What `check` says.

    Args:
        root: the repository.
        with_aws: whether AWS answers; without, `check` does not wait for it.
    """
    name = package(root)
    if name is None:
        return [problem(f"{root}: expected a generated repository, found none", "go to its top folder")]
    python = able(root, CHECK_NEEDS, of_the_build=True)
    if python is None:
        return [
            note(
                "not checked: pydantic, PyYAML and boto3 are not installed yet",
                "make setup, then: make check",
            )
        ]
    done = run(
        [str(python), "-m", name, "check"],
        root,
        os.environ if with_aws else away(os.environ),
        seconds=CHECK_SECONDS,
    )
    lines = [one for line in done.out.splitlines() if (one := _read(line)) is not None]
    if not with_aws:
        lines = [one for one in lines if NO_CREDENTIALS not in one.text]
    if done.status == 0 or any(one.state == PROBLEM for one in lines):
        return lines
    said = [line for line in done.err.splitlines() if line.strip()] or [
        f"check ended with status {done.status}"
    ]
    if any(line.startswith("Traceback") for line in said):
        return [*lines, problem(f"check ended with an error: {said[-1]}", "make check")]
    return [*lines, *(problem(line, "correct it, then: make check") for line in said)]


def _read(line: str) -> Finding | None:
    mark, _, text = line.partition(" ")
    if mark not in MARKS:
        return None
    fix = "correct it, then: make check" if MARKS[mark] == PROBLEM else None
    return Finding(MARKS[mark], text.strip(), fix)


def away(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment without any AWS credentials."""
    kept = {name: value for name, value in environment.items() if not name.startswith("AWS_")}
    nowhere = {"AWS_SHARED_CREDENTIALS_FILE": os.devnull, "AWS_CONFIG_FILE": os.devnull}
    return {**kept, **nowhere, "AWS_EC2_METADATA_DISABLED": "true"}
