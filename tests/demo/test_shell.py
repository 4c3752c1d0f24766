"""One bash that stays, and what it leaves behind: nothing."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from demo.shell import Shell, ShellEnded


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
