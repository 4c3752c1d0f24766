"""What the story's commands run in: an environment of their own, and one bash that leaves nothing behind."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from demo import machine
from demo.shell import Shell, ShellEnded


def test_credentials_and_organisations_of_a_person_are_left_out_and_the_rest_stays(tmp_path: Path) -> None:
    own = {
        "AWS_PROFILE": "mine",
        "BITBUCKET_TOKEN": "x",
        "MLOPS_SANDBOX_ORGANISATION": "/elsewhere",
        "LANG": "C",
    }
    found = machine.environment(tmp_path / "settings", {**own, "TF_PLUGIN_CACHE_DIR": "/cache"})
    assert not set(own) - {"LANG"} & set(found) and found["LANG"] == "C"
    assert Path(found["COOKIECUTTER_CONFIG"]).is_file()


@pytest.mark.parametrize(
    ("theirs", "expected"),
    [
        ({"TF_PLUGIN_CACHE_DIR": "/theirs"}, None),  # a person who has said where plug-ins are is left alone
        ({"MLOPS_TERRAFORM_PLUGINS": "/mirror"}, 'path = "/mirror"'),
        ({"TF_CLI_CONFIG_FILE": "/nowhere/terraformrc"}, "plugin_cache_dir"),
        ({}, "plugin_cache_dir"),
    ],
)
def test_terraform_fetches_its_provider_once_unless_a_person_has_said_where_it_is(
    tmp_path: Path, theirs: dict[str, str], expected: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    found = machine.environment(tmp_path / "build/settings", theirs)
    if expected is None:
        assert "TF_CLI_CONFIG_FILE" not in found
        return
    config = Path(found["TF_CLI_CONFIG_FILE"])
    assert expected in config.read_text()
    if shutil.which("terraform"):
        said = subprocess.run(
            ["terraform", "version"], env={**os.environ, **found}, capture_output=True, text=True, check=True
        )
        assert "problem" not in (said.stdout + said.stderr).lower()


def test_commits_have_an_author_also_where_git_knows_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.chdir(tmp_path)
    assert machine.environment(tmp_path / "settings", {})["GIT_AUTHOR_EMAIL"] == "demo@example.org"
    (tmp_path / "gitconfig").write_text("[user]\n  email = me@example.org\n")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "gitconfig"))
    assert "GIT_AUTHOR_EMAIL" not in machine.environment(tmp_path / "settings", {})


def test_what_is_missing_is_said_all_at_once_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    said = "\n".join(machine.problems(tmp_path))
    assert "terraform: not found on PATH: https://" in said and "git: not found" in said
    assert ".venv-container: no such Python environment: make setup" in said


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def shell(tmp_path: Path, said: list[str]) -> Iterator[Shell]:
    opened = Shell(tmp_path, {"PATH": os.environ["PATH"]}, said.append)
    yield opened
    opened.close()


def test_what_a_command_sets_is_there_for_the_next(shell: Shell, said: list[str], tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    assert [shell.run(text) for text in ("cd sub", "export A=1; b=2", 'echo "$A$b $(basename "$PWD")"')] == [
        0
    ] * 3
    assert said == ["12 sub"]


def test_the_status_is_the_command_s_and_its_words_are_kept(shell: Shell, said: list[str]) -> None:
    assert shell.run("echo out; echo err >&2; printf 'no line break'; (exit 3)") == 3
    assert said == shell.last_lines == ["out", "err", "no line break"]
    assert shell.run("! false") == 0
    assert shell.run("false | cat") == 1  # a pipe hides nothing
    assert shell.last_lines == []


def test_a_job_goes_on_while_other_commands_run_and_its_status_is_known(shell: Shell) -> None:
    assert shell.run("(sleep 0.3; exit 5) & job=$!") == 0
    assert shell.run("true") == 0
    assert shell.run("wait $job") == 5


def test_nothing_waits_for_somebody_to_type(shell: Shell, said: list[str]) -> None:
    assert shell.run("read -r answer") == 1


def test_exit_ends_the_shell_and_is_noticed(shell: Shell) -> None:
    with pytest.raises(ShellEnded):
        shell.run("exit 0")


def test_close_ends_what_still_runs(tmp_path: Path, said: list[str]) -> None:
    opened = Shell(tmp_path, {"PATH": os.environ["PATH"]}, said.append)
    opened.run("sleep 60 & echo $!")
    opened.close()
    deadline = time.monotonic() + 5
    while Path(f"/proc/{said[0]}").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not Path(f"/proc/{said[0]}").exists()
