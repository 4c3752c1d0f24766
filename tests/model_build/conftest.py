"""A generated repository that runs in seconds: tiny random base model, one epoch, lenient thresholds."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

Run = Callable[..., subprocess.CompletedProcess[str]]

#: Tests of what a repository's owner does not edit. They run in a generated repository, beside its own.
MACHINERY = Path(__file__).with_name("machinery")


def with_machinery(repository: Path) -> Path:
    """Put the tests of the machinery beside a generated repository's own; returns it."""
    shutil.copytree(MACHINERY, repository / "tests", dirs_exist_ok=True)
    return repository


@pytest.fixture(scope="module")
def small_repository(
    generate: Callable[..., Path], tiny_model: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A fresh repository whose configuration asks for little."""
    repository = generate(tmp_path_factory.mktemp("repository"))
    set_model(
        repository,
        **{
            "model.base": str(tiny_model),
            "model.max_length": 32,
            "training.epochs": 1,
            "acceptance": {"accuracy": {"at_least": 0.0}, "expected_calibration_error": {"at_most": 1.0}},
        },
    )
    return repository


@pytest.fixture(scope="session")
def model_build(container_python: Path) -> Run:
    """Runs `python -m model_build …` in a repository, as its Makefile does."""

    def run(repository: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "model_build", *arguments],
            cwd=repository,
            env=command_environment(container_python),
            capture_output=True,
            text=True,
            timeout=900,
        )

    return run


def command_environment(container_python: Path) -> dict[str, str]:
    """This process's environment without AWS settings, with the container's Python."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    return {**kept, "MLOPS_CONTAINER_PYTHON": str(container_python)}


def set_model(repository: Path, **values: object) -> None:
    """Set keys of config/model.yaml by dotted name (comments are lost, which no test minds)."""
    path = repository / "config/model.yaml"
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    for name, value in values.items():
        *parents, last = name.split(".")
        place = document
        for parent in parents:
            place = place[parent]
        place[last] = value
    path.write_text(yaml.safe_dump(document), encoding="utf-8")


def execution_id(output: str) -> str:
    """The id of the execution that a run says it started."""
    found = re.search(r"started \S+/execution/(\S+)", output)
    assert found, output
    return found[1]
