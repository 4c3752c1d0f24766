"""Plug-in of `make test-changed`: names the changed files that pytest-testmon cannot see.

testmon selects tests by the Python that they themselves have run. It does not see what another process has
run (hooks, jobs, functions, generated repositories), nor what is not Python (configuration, Terraform, Jinja,
pages).
"""

from __future__ import annotations

import os
import sqlite3
import subprocess
from pathlib import Path

import pytest

#: Of these the steps' own tests are selected, in the environment that stands for SageMaker's images.
STEPS = (
    "model-build/{{cookiecutter.project_slug}}/steps/",
    "model-build/{{cookiecutter.project_slug}}/tests/steps/",
    "shared/parts/pipeline/steps/",
)
#: What to run for a changed file, by the beginning of its path; the first that fits.
RUN = (
    ("model-build/", "pytest tests/hooks tests/collection tests/model_build"),
    ("serverless-inference/", "pytest tests/hooks tests/collection tests/serverless_inference"),
    ("batch-inference/", "pytest tests/hooks tests/collection tests/batch_inference"),
    ("shared/foundation/", "pytest tests/foundation"),
    ("shared/workbench/", "pytest tests/workbench tests/sandbox tests/delivery"),
    ("shared/parts/", "pytest tests/collection tests/*/test_generated_repository.py"),
    ("hooks/", "pytest tests/hooks tests/collection"),
    ("docs/", "pytest tests/docs"),
)
EVERYTHING = "make test"


def changed(root: Path) -> list[str]:
    """The files that differ from the last commit, new ones included."""
    listed = [["diff", "--name-only", "-z", "HEAD"], ["ls-files", "--others", "--exclude-standard", "-z"]]
    found = [
        subprocess.run(["git", *words], cwd=root, capture_output=True, text=True, check=True).stdout
        for words in listed
    ]
    return sorted(name for text in found for name in text.split("\0") if name)


def seen(root: Path) -> set[str]:
    """The files that a test has been seen to depend on."""
    path = root / os.environ.get("TESTMON_DATAFILE", ".testmondata")
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as data:
        return {name for (name,) in data.execute("SELECT DISTINCT filename FROM file_fp")}


def advice(names: list[str]) -> dict[str, list[str]]:
    """What to run -> the changed files for which that is."""
    found: dict[str, list[str]] = {}
    for name in names:
        command = next((command for start, command in RUN if name.startswith(start)), EVERYTHING)
        found.setdefault(command, []).append(name)
    return found


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Says which changes have selected no test, and what does."""
    known = seen(config.rootpath)
    unseen = [name for name in changed(config.rootpath) if name not in known and not name.startswith(STEPS)]
    if unseen:
        terminalreporter.section("changes that select no test")
        for command, names in advice(unseen).items():
            terminalreporter.line(f"{', '.join(names)}: {command}")
