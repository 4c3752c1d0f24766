"""`make demo`: how it runs a page, how it stops, what it deletes; and, slow, the page itself."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

COLLECTION = Path(__file__).resolve().parents[2]
SECONDS = 1800  # for the whole story on a busy machine

Demo = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def demo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Demo:
    """Starts `python -m demo` with a page; what it makes goes below a folder of the test."""
    # said where plug-ins are, it fetches none: these pages do not use Terraform
    monkeypatch.setenv("TF_PLUGIN_CACHE_DIR", str(tmp_path))

    def start(page: str, *arguments: str) -> subprocess.Popen[str]:
        path = tmp_path / "story.md"
        path.write_text(page, encoding="utf-8")
        return open_demo("--tutorial", str(path), "--build", str(tmp_path / "build"), *arguments)

    return start


def open_demo(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "demo", *arguments],
        env={**os.environ, "PYTHONPATH": str(COLLECTION / "tools")},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def chapter(number: int, *lines: str) -> str:
    return "\n".join([f"## {number}. Chapter {number}", "", "```bash", *lines, "```", "", ""])


def test_it_shows_what_is_typed_and_said_and_how_long_each_chapter_took(demo: Demo) -> None:
    running = demo(chapter(1, "export A=there") + chapter(2, 'echo "hello $A"'))
    out, _ = running.communicate(timeout=60)
    assert running.returncode == 0, out
    assert '$ echo "hello $A"\n  hello there\n' in out
    assert re.search(r"=== Done ===\n +0:00  1\. Chapter 1\n +0:00  2\. Chapter 2\n +0:00  in all", out)


def test_it_stops_at_the_first_command_that_fails_and_says_which(demo: Demo) -> None:
    running = demo(chapter(1, "echo before; false", "echo never") + chapter(2, "echo nor this"))
    out, _ = running.communicate(timeout=60)
    assert running.returncode == 1
    assert "Chapter 1, Chapter 1: the command of line 4 ended with 1:\n  $ echo before; false" in out
    assert "It said last:\n    before" in out
    assert "never" not in out and "nor this" not in out


def test_list_and_until_leave_out_what_is_not_asked_for(demo: Demo) -> None:
    listed = demo(chapter(1, "echo a") + chapter(2, "echo b"), "--list").communicate(timeout=60)[0]
    assert listed.split("\n\n") == ["\n1. Chapter 1\n$ echo a", "2. Chapter 2\n$ echo b\n"]
    out = demo(chapter(1, "echo a") + chapter(2, "echo b"), "--until", "1").communicate(timeout=60)[0]
    assert "  a\n" in out and "  b\n" not in out


def test_a_person_s_credentials_and_defaults_are_not_those_of_the_story(
    demo: Demo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_PROFILE", "my-own")
    monkeypatch.setenv("BITBUCKET_TOKEN", "secret")
    running = demo(chapter(1, 'echo "[$AWS_PROFILE$BITBUCKET_TOKEN]" $(basename $COOKIECUTTER_CONFIG)'))
    assert "  [] cookiecutter.yaml\n" in running.communicate(timeout=60)[0]


def test_a_folder_that_is_somebody_s_own_is_left_alone(demo: Demo, tmp_path: Path) -> None:
    own = tmp_path / "build/story/notes.txt"
    own.parent.mkdir(parents=True)
    own.write_text("mine")
    running = demo(chapter(1, "true"))
    out, _ = running.communicate(timeout=60)
    assert running.returncode == 1 and "somebody's own work" in out
    assert own.read_text() == "mine"


def test_ctrl_c_ends_what_runs(demo: Demo, tmp_path: Path) -> None:
    running = demo(chapter(1, f"echo $$ > {tmp_path}/pid; sleep 60"))
    deadline = time.monotonic() + 30
    while not (tmp_path / "pid").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.2)
    running.send_signal(signal.SIGINT)
    out, _ = running.communicate(timeout=30)
    assert running.returncode == 130 and "interrupted" in out
    assert not Path("/proc", (tmp_path / "pid").read_text().strip()).exists()


@pytest.mark.slow
def test_the_whole_story() -> None:
    """The tutorial about email routing, command for command; it prints how long each chapter took."""
    running = open_demo()
    try:
        out, _ = running.communicate(timeout=SECONDS)
    finally:
        running.send_signal(signal.SIGINT)  # else it has ended
        running.wait(60)
    told, _, done = out.partition("=== Done")
    print(done)
    assert running.returncode == 0, told[-12000:]
    chapters = re.split(r"=== \d+/\d+  ", told)[1:]
    production, gate, bad, back = chapters[4:]
    assert re.search(r"07-someone-was-hurt.eml +incident_report", production)
    assert "Not registered: accuracy" in gate
    assert "pipeline email-router-batch: Succeeded" in bad
    assert re.search(r"production +email-router version 2", bad), "the bad version was live"
    assert re.search(r"07-someone-was-hurt.eml", bad)
    assert not re.search(r"07-someone-was-hurt.eml +incident_report", bad)
    assert "answered by version 1 of the model" in back
    assert re.search(r"production +email-router version 1", back), "it is rolled back"
    log = COLLECTION / "build/email-routing/email-router/.sandbox/organisation/background/foundation.txt"
    assert log.read_text("utf-8").count("Apply complete!") == 2, "what was left of the foundation"
    assert "email-router/1: Approved" in done and "email-router/2: Rejected" in done
