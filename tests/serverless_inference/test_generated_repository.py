"""The repository that the template generates passes its own tests and its own checks."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.generated import passes_as_a_new_user, run


def test_its_tests_pass(serving: Path) -> None:
    done = run(serving, "pytest", "-q", "tests")
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]


def test_check_finds_everything_in_order_without_credentials(serving: Path) -> None:
    done = run(serving, "serverless_inference", "check")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "PROBLEM" not in done.stdout
    assert "email-router-endpoint-staging in account 111111111111" in done.stdout
    assert "no AWS credentials" in done.stdout


def test_the_schema_in_the_repository_is_that_of_the_models(serving: Path, tmp_path: Path) -> None:
    before = (serving / "config/endpoint.schema.json").read_bytes()
    assert run(serving, "serverless_inference", "schema").returncode == 0
    assert (serving / "config/endpoint.schema.json").read_bytes() == before


@pytest.mark.parametrize("command", ["status", "watch", "promote", "rollback", "invoke", "deploy"])
def test_without_credentials_a_command_says_so_in_a_line(serving: Path, command: str) -> None:
    arguments = {"rollback": ["--to", "1"], "invoke": ["a text"], "deploy": ["staging"]}.get(command, [])
    done = run(serving, "serverless_inference", command, *arguments)
    assert done.returncode == 1
    assert "credentials" in done.stderr and "Traceback" not in done.stderr, done.stderr


@pytest.mark.parametrize(
    "command", ["", "check", "status", "watch", "promote", "rollback", "invoke", "deploy"]
)
def test_every_command_has_help(serving: Path, command: str) -> None:
    done = run(serving, "serverless_inference", *filter(None, [command]), "--help")
    assert done.returncode == 0 and "examples:" in done.stdout


@pytest.mark.slow
def test_its_own_make_check_and_make_test_create_their_environments_and_pass(
    generate: Callable[..., Path], tmp_path: Path
) -> None:
    """As a new user: nothing installed."""
    passes_as_a_new_user(generate(tmp_path, directory="serverless-inference"))
