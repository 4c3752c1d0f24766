"""This repository's own `check`, run where its libraries are."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Mapping

from .environments import able
from .finding import NOTE, OK, PROBLEM, Finding, note, problem
from .processes import run

NEEDS = ("pydantic", "yaml", "boto3")
SECONDS = 120  # a pipeline's definition is built with the SageMaker SDK, which takes its time to load
MARKS = {"ok": OK, "note": NOTE, "PROBLEM": PROBLEM}
NO_CREDENTIALS = "there are no AWS credentials"


def package(root: Path) -> str | None:
    """The package of this template: the one with a check."""
    found = [
        path.parent.name
        for path in sorted(root.glob("*/check.py"))
        if (path.parent / "__main__.py").is_file()
    ]
    return found[0] if found else None


def findings(root: Path, *, with_aws: bool) -> list[Finding]:
    """What `check` says.

    Args:
        root: the repository.
        with_aws: whether AWS answers; without, `check` does not wait for it.
    """
    name = package(root)
    if name is None:
        return [problem(f"{root}: expected a generated repository, found none", "go to its top folder")]
    python = able(root, NEEDS, of_the_build=True)
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
        seconds=SECONDS,
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
