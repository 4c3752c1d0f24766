"""`python -m mlops_workbench`: one door, which also opens straight out of the wheel."""

import json
import os
import subprocess
import sys
import venv
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from mlops_workbench.__main__ import COMMANDS
from mlops_workbench.sandbox.organisation import foundation

COLLECTION = Path(__file__).resolve().parents[2]


def call(
    folder: Path, *words: str | Path, python: Path | str = sys.executable, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Runs Python in a folder, with no PYTHONPATH but what is given."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "PYTHON"))}
    away = {"AWS_EC2_METADATA_DISABLED": "true", "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        [str(python), *map(str, words)],
        cwd=folder,
        env={**kept, **away, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.fixture(scope="session")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python with nothing installed."""
    folder = tmp_path_factory.mktemp("bare")
    venv.create(folder, symlinks=os.name != "nt")
    return folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def package(wheel: Path) -> Path:
    """What is run: the package within the wheel, relative to the repository."""
    return Path("wheels", wheel.name, "mlops_workbench")


def test_its_help_lists_every_command(generated: Path, wheel: Path, bare: Path) -> None:
    done = call(generated, package(wheel), "--help", python=bare)
    assert done.returncode == 0, done.stderr
    listed = [line.split()[0] for line in done.stdout.splitlines() if line.startswith("  ")]
    assert listed == list(COMMANDS)
    assert listed == ["register", "unregister", "publish", "status", "doctor", "cost", "tidy", "sandbox"]


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_has_a_help_of_its_own_from_the_wheel(
    generated: Path, wheel: Path, command: str
) -> None:
    done = call(generated, package(wheel), command, "--help")
    assert done.returncode == 0, done.stderr
    name = "mlops-sandbox" if command == "sandbox" else f"python -m mlops_workbench {command}"
    assert done.stdout.startswith(f"usage: {name} ")


@pytest.mark.parametrize(("words", "said"), [((), "got none"), (("regsiter",), "got regsiter")])
def test_another_command_is_refused_with_those_that_there_are(
    generated: Path, wheel: Path, bare: Path, words: tuple[str, ...], said: str
) -> None:
    done = call(generated, package(wheel), *words, python=bare)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"expected a command, {said}\n") and "  register " in done.stderr


def test_what_is_not_installed_is_said_in_one_line(
    generated: Path, wheel: Path, bare: Path, tmp_path: Path
) -> None:
    done = call(generated, package(wheel), "publish", python=bare)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1), done.stderr
    assert "publish: expected the package " in done.stderr and "make setup" in done.stderr
    elsewhere = call(tmp_path, generated / package(wheel), "doctor", python=bare)
    assert elsewhere.returncode == 1
    assert elsewhere.stderr == (
        "doctor: expected the package configuration, found none: go to a repository's top folder\n"
    )


@pytest.mark.parametrize("how", ["folder", "module"])
def test_the_doctor_runs_out_of_the_wheel_with_nothing_installed(
    repository: Path, wheel: Path, bare: Path, how: str
) -> None:
    path = str(Path("wheels", wheel.name))
    if how == "folder":
        done = call(repository, package(wheel), "doctor", "--json", python=bare)
    else:
        done = call(repository, "-m", "mlops_workbench", "doctor", "--json", python=bare, PYTHONPATH=path)
    assert done.stderr == ""
    found = json.loads(done.stdout)
    (about,) = [each for each in found["findings"] if each["text"].startswith("workbench")]
    assert about["state"] == "ok" and wheel.name in about["text"]
    (credentials,) = [each for each in found["findings"] if each["part"] == "credentials"]
    assert "boto3 and PyYAML, by which AWS is asked, are not installed yet" in credentials["text"]


@pytest.mark.skipif(os.name == "nt", reason="a program that is a shell script")
def test_the_doctor_has_aws_asked_by_an_environment_that_can(
    repositories: dict[str, Path], wheel: Path, bare: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    copy.mkdir()
    for path in repositories["model-build"].iterdir():
        (copy / path.name).symlink_to(path)
    able = copy / ".venv-delivery/bin/python"
    able.parent.mkdir(parents=True)
    able.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    able.chmod(0o755)
    away = {"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull}
    done = call(copy, package(wheel), "doctor", "--json", python=bare, **away)
    found = [each["text"] for each in json.loads(done.stdout)["findings"] if each["part"] == "credentials"]
    assert found[-1].startswith("credentials: found none"), found


def test_what_it_costs_is_read_out_of_the_wheel(repository: Path, wheel: Path) -> None:
    done = call(repository, package(wheel), "cost", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["unknown"] == [] and found["month"]["high"] > 0


def test_make_calls_it(repository: Path, wheel: Path) -> None:
    done = subprocess.run(
        ["make", "doctor", f"PYTHON={sys.executable}", "ARGS=--json"],
        cwd=repository,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert '"text": "workbench ' in done.stdout and wheel.name in done.stdout, done.stderr
    text = (repository / "Makefile").read_text(encoding="utf-8")
    called = {
        command
        for command in COMMANDS
        if f"$(DELIVERY) {command}" in text or f"mlops_workbench {command}" in text
    }
    assert {"register", "unregister", "publish", "doctor", "cost", "tidy"} <= called


@pytest.mark.skipif(os.name == "nt", reason="a program that is a shell script")
def test_mlops_sandbox_push_publishes_as_the_repository_itself_does(
    generate: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository = generate(tmp_path)
    python = repository / ".venv-delivery/bin/python"
    python.parent.mkdir(parents=True)
    python.write_text('#!/bin/sh\necho "$AWS_REGION: $*" > called\n')
    python.chmod(0o755)
    organisation = SimpleNamespace(environment=lambda: {"AWS_REGION": "ca-central-1"}, prefix="mlops")
    monkeypatch.setattr(foundation, "parameters", lambda _: {"source_bucket": "any"})
    foundation.publish(cast(Any, organisation), foundation.head(repository))
    assert (repository / "called").read_text() == "ca-central-1: -m mlops_workbench publish\n"
