"""The repository that the template generates passes its own tests and its own checks."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.model_build.conftest import Run, command_environment, with_machinery


@pytest.fixture(scope="module")
def repository(generate, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One of its own: what runs in it leaves caches behind."""
    return with_machinery(generate(tmp_path_factory.mktemp("own")))


def pytest_in(repository: Path, python: Path | str, folder: str, container_python: Path) -> None:
    done = subprocess.run(
        [str(python), "-m", "pytest", "-q", folder],
        cwd=repository,
        env=command_environment(container_python),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]


def test_its_tests_of_configuration_and_definition_pass(repository: Path, container_python: Path) -> None:
    pytest_in(repository, sys.executable, "tests/build", container_python)


def test_its_tests_of_the_steps_pass(repository: Path, container_python: Path) -> None:
    pytest_in(repository, container_python, "tests/steps", container_python)


def test_check_finds_everything_in_order(repository: Path, model_build: Run) -> None:
    done = model_build(repository, "check")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "PROBLEM" not in done.stdout


def test_describe_names_steps_machines_and_thresholds(repository: Path, model_build: Run) -> None:
    text = model_build(repository, "describe").stdout
    for expected in (
        "Preprocess",
        "ml.g5.xlarge, spot",
        "accuracy >= 0.",
        "model package group email-router",
    ):
        assert expected in text


def test_the_definition_is_the_same_in_another_process_and_folder(
    repository: Path, generate, model_build: Run, tmp_path: Path
) -> None:
    elsewhere = generate(tmp_path)
    first, second = (model_build(place, "definition").stdout for place in (repository, elsewhere))
    # the two repositories have commits of their own
    commits = [
        subprocess.run(["git", "rev-parse", "HEAD"], cwd=place, capture_output=True, text=True).stdout.strip()
        for place in (repository, elsewhere)
    ]
    assert first and first.replace(commits[0], "") == second.replace(commits[1], "")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--root", "/nowhere", "check"], "config/model.yaml: expected this file in /nowhere, found none"),
        (
            ["local", "--parameter", "Epoch=3"],
            "--parameter Epoch=3: expected NAME=VALUE with NAME one of InputDataUrl",
        ),
        (["predict", "no-such-file.jsonl"], "no-such-file.jsonl: expected"),
    ],
)
def test_a_mistake_on_the_command_line_is_one_line(
    repository: Path, model_build: Run, arguments: list[str], message: str
) -> None:
    done = model_build(repository, *arguments)
    assert done.returncode == 1
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_without_credentials_run_says_how_to_get_them(
    repository: Path, model_build: Run, monkeypatch
) -> None:
    monkeypatch.setenv("HOME", "/nonexistent")
    done = model_build(repository, "status")
    assert done.returncode == 1
    assert "aws sso login" in done.stderr or "credentials" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_profile_that_is_not_there_is_named(repository: Path, container_python: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "model_build", "status"],
        cwd=repository,
        env={**command_environment(container_python), "AWS_PROFILE": "of-another-machine"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "of-another-machine" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.slow
def test_its_own_make_test_creates_its_environments_and_passes(generate, tmp_path: Path) -> None:
    """As a new user: nothing installed, `make test`."""
    repository = generate(tmp_path)
    done = subprocess.run(["make", "test"], cwd=repository, capture_output=True, text=True, timeout=3000)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-3000:]
