"""The stubs as cookiecutter runs them: a failure after all files are there never costs them."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from hooks import assembly

Git = Callable[..., str]
Stub = Callable[..., Path]


def committed(git: Git, project: Path) -> bool:
    """Whether all files are in the only commit, those of the template and those that the hook adds."""
    files = git(project, "ls-files").splitlines()
    return {"data/emails.csv", assembly.REQUIREMENT, assembly.OWNERS} < set(files) and (
        git(project, "status", "--porcelain") == "" and git(project, "rev-list", "--count", "main") == "1"
    )


def test_nobody_who_reads_what_the_hook_says_is_no_reason_to_fail(
    rendered: Stub, by_cookiecutter: dict[str, object], rendered_project: Path, git: Git
) -> None:
    hook = rendered("post_gen_project", by_cookiecutter)
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as closed:
        assert subprocess.run([sys.executable, str(hook)], stdout=closed, stderr=closed).returncode == 0
    assert committed(git, rendered_project)


@pytest.mark.parametrize(
    ("path", "reason"), [("", "git is not installed"), ("broken", "cannot read the configuration")]
)
def test_without_a_working_git_it_says_what_to_type_and_succeeds(
    rendered: Stub,
    by_cookiecutter: dict[str, object],
    rendered_project: Path,
    tmp_path: Path,
    path: str,
    reason: str,
) -> None:
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken/git").write_text("#!/bin/sh\necho fatal: cannot read the configuration\nexit 128\n")
    (tmp_path / "broken/git").chmod(0o755)
    hook = rendered("post_gen_project", by_cookiecutter)
    environment = {"PATH": str(tmp_path / path) if path else str(tmp_path / "nothing")}
    done = subprocess.run([sys.executable, str(hook)], env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert reason in done.stdout and "git init && git add -A && git commit" in done.stdout
    assert "make check" in done.stdout


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (None, "make is not installed"),
        ("exit 2", "words are above"),
        ("kill -INT $PPID; sleep 2", "interrupted"),
    ],
)
def test_when_registering_fails_the_files_stay_and_the_command_is_named(
    rendered: Stub,
    by_cookiecutter: dict[str, object],
    rendered_project: Path,
    git: Git,
    tmp_path: Path,
    make: str | None,
    reason: str,
) -> None:
    found = shutil.which("git")
    assert found is not None
    folder = tmp_path / "path"
    folder.mkdir()
    (folder / "git").symlink_to(found)
    for name in ("sleep", "sh"):
        (folder / name).symlink_to(str(shutil.which(name)))
    if make is not None:
        (folder / "make").write_text(f"#!/bin/sh\n{make}\n")
        (folder / "make").chmod(0o755)
    hook = rendered("post_gen_project", {**by_cookiecutter, "register": True})
    environment = {**os.environ, "PATH": str(folder), "MLOPS_REGISTER_YES": "1"}
    done = subprocess.run([sys.executable, str(hook)], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert f"not registered ({reason}" in done.stdout.replace("its words", "words")
    assert "To go on in its folder: make register" in done.stdout and "make check" in done.stdout
    assert committed(git, rendered_project)


def test_a_fault_of_ours_after_all_files_are_there_does_not_fail_the_hook(
    rendered: Stub, by_cookiecutter: dict[str, object], rendered_project: Path
) -> None:
    hook = rendered("post_gen_project", by_cookiecutter)
    text = hook.read_text()
    hook.write_text(
        text.replace("sys.exit(", "generation.repository.main = lambda answers: {}['no key']\nsys.exit(")
    )
    done = subprocess.run([sys.executable, str(hook)], capture_output=True, text=True)
    assert done.returncode == 0
    assert done.stderr == "The files are generated; what was to follow failed: 'no key'\n"
    assert (rendered_project / assembly.REQUIREMENT).is_file()


def test_an_interrupted_first_commit_does_not_fail_the_hook(
    rendered: Stub, by_cookiecutter: dict[str, object], rendered_project: Path, tmp_path: Path
) -> None:
    (tmp_path / "path").mkdir()
    (tmp_path / "path/git").write_text("#!/bin/sh\nkill -INT $PPID\nsleep 2\n")
    (tmp_path / "path/git").chmod(0o755)
    hook = rendered("post_gen_project", by_cookiecutter)
    environment = {**os.environ, "PATH": f"{tmp_path / 'path'}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run([sys.executable, str(hook)], env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (
        0,
        "The files are generated; what was to follow failed: interrupted\n",
    )


def test_the_stubs_leave_no_bytecode_in_the_collection(
    rendered: Stub, by_cookiecutter: dict[str, object], rendered_project: Path
) -> None:
    for name in ("pre_gen_project", "post_gen_project"):
        environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
        command = [sys.executable, "-v", str(rendered(name, by_cookiecutter))]
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        assert done.returncode == 0
        wrote = [line for line in done.stderr.splitlines() if line.startswith("# wrote")]
        assert not [line for line in wrote if str(assembly.COLLECTION) in line]
