"""Makes the generated files a git repository with a first commit, registers it if asked to.

If it failed, cookiecutter would delete what it has generated: so it never does, it says what to type
instead. That includes Ctrl-C.

Registering is `make register` in the generated repository, with its own Python and libraries. It happens only
if the person answered that it should, never under cruft, and not where nobody can confirm it: automation says
MLOPS_REGISTER_YES=1. Credentials and tokens come from the environment then; none of them is rendered here.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from typing import Any, Callable, Iterable, List, NamedTuple

BRANCH = "main"
FIRST_COMMIT = "First commit, as generated"
BY_HAND = f'git init && git add -A && git commit -m "{FIRST_COMMIT}"'

# Automation agrees beforehand to what registering will do.
YES = "MLOPS_REGISTER_YES"
REGISTER = "make register"

# Set when cookiecutter is called from a git hook: they would send our commands to that other repository.
FOREIGN_REPOSITORY = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_COMMON_DIR")

# A person's own settings that are meant for finished work, or that would leave generated files out.
FOR_THIS_COMMIT = (
    "commit.gpgSign=false",
    "core.hooksPath=.git/no-hooks",
    "core.excludesFile=",
    "core.safecrlf=false",
)


class Result(NamedTuple):
    """How a command ended, and what it printed."""

    ok: bool
    output: str


Git = Callable[[List[str]], Result]
Register = Callable[[], Result]


def run_git(arguments: list[str]) -> Result:
    """Runs git in the current folder; no git, or one that hangs, is a result like any other."""
    try:
        done = subprocess.run(
            ["git", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=own_environment(),
            timeout=60,
        )
    except FileNotFoundError:
        return Result(False, "git is not installed")
    except (OSError, subprocess.SubprocessError) as error:
        return Result(False, str(error))
    return Result(done.returncode == 0, done.stdout.decode("utf-8", "replace").strip())


def run_register() -> Result:
    """Runs `make register` in the current folder, on this terminal: it shows a plan, asks, and reports."""
    sys.stdout.flush()
    try:
        status = subprocess.call(REGISTER.split(), env=own_environment())
    except KeyboardInterrupt:
        return Result(False, "interrupted")
    except FileNotFoundError:
        return Result(False, "make is not installed")
    except OSError as error:
        return Result(False, str(error))
    return Result(status == 0, "" if status == 0 else "its words are above")


def own_environment() -> dict[str, str]:
    """The environment variables, without those that lead to another repository."""
    return {key: value for key, value in os.environ.items() if key not in FOREIGN_REPOSITORY}


def create_repository(git: Git, email: str) -> str:
    """Commits the files of the current folder on a new branch, BRANCH.

    Args:
        git: runs git with the arguments it is given.
        email: stands in the commit when no identity is configured.

    Returns:
        What a person should know about it; empty when there is nothing to say.
    """
    if os.path.exists(".git"):
        return "The folder was a git repository before: `git diff` shows what changed."
    result = git(["-c", f"init.defaultBranch={BRANCH}", "init", "--quiet"])
    if result.ok and not on_branch():
        result = git(["symbolic-ref", "HEAD", f"refs/heads/{BRANCH}"])
    if not result.ok:
        return advice(result)
    # asked for inside the new repository: the identity of one further up is not meant for this one
    missing = missing_identity(git, email)
    settings = (*FOR_THIS_COMMIT, *missing)
    result = git([*options(settings), "add", "--all"])
    if result.ok:
        result = git([*options(settings), "commit", "--quiet", "--message", FIRST_COMMIT])
    if not result.ok:
        return advice(result)
    if missing:
        return (
            f"git does not know who you are, so the first commit is {email}'s. Set user.name and user.email "
            "with `git config --global`, then `git commit --amend --reset-author --no-edit`."
        )
    return ""


def on_branch() -> bool:
    """Whether the new repository begins on the branch: git knows the setting for it since 2.28."""
    try:
        with open(".git/HEAD", encoding="utf-8") as file:
            return file.read() == f"ref: refs/heads/{BRANCH}\n"
    except (OSError, UnicodeError):
        return False


def options(settings: Iterable[str]) -> list[str]:
    """Settings as git takes them for one command."""
    return [part for setting in settings for part in ("-c", setting)]


def advice(failed: Result) -> str:
    """What to do after a git command failed."""
    reason = failed.output.splitlines()[0] if failed.output else "git did not say why"
    return f"There is no first commit ({reason}). To make it: {BY_HAND}"


def missing_identity(git: Git, email: str) -> list[str]:
    """Settings that stand in for the parts of an identity that are found nowhere."""
    lines = git(["config", "--get-regexp", r"^user\.(name|email)$"]).output.splitlines()
    configured = {key for key, _, value in (line.partition(" ") for line in lines) if value}
    return [
        f"user.{part}={stand_in}"
        for part, stand_in in (("name", "cookiecutter"), ("email", email))
        if f"user.{part}" not in configured
        and not all(os.environ.get(f"GIT_{role}_{part.upper()}") for role in ("AUTHOR", "COMMITTER"))
    ]


def register(run: Register, wanted: bool, committed: bool, somebody_there: bool) -> str:
    """Registers the repository, if that is wanted and somebody can confirm it.

    Args:
        run: registers the repository of the current folder.
        wanted: the person's answer.
        committed: whether there is a first commit to push.
        somebody_there: whether there is a terminal to ask on.

    Returns:
        What a person should know about it; empty when there is nothing to say.
    """
    if not wanted:
        return ""
    if not committed:
        return f"It is not registered, because there is no first commit. When there is one: {REGISTER}"
    if not somebody_there and os.environ.get(YES) != "1":
        return (
            f"It is not registered, because there is no terminal to confirm it on. To register it: "
            f"{REGISTER} (in automation: {YES}=1 {REGISTER})"
        )
    result = run()
    if result.ok:
        return ""
    return (
        f"It is generated, but not registered ({result.output}). Nothing of the files is lost. "
        f"To go on in its folder: {REGISTER}"
    )


def under_cruft(answers: dict[str, Any]) -> bool:
    """Whether cruft runs this, and not cookiecutter, which says where it writes."""
    return "_output_dir" not in answers


def in_temporary_folder(folder: str) -> bool:
    """Whether `folder` is where cruft generates only to compare."""
    temporary = os.path.realpath(tempfile.gettempdir())
    return os.path.realpath(folder).startswith(os.path.join(temporary, ""))


def next_steps(folder: str, deploys: bool, *before: str) -> str:
    """What to type next; `before` comes first in the folder.

    Args:
        folder: of the generated repository.
        deploys: whether it deploys a model that another repository builds.
        before: commands that come before the usual ones.
    """
    enter = f'cd "{folder}"' if " " in folder else f"cd {folder}"
    commands = (enter, *before, "make check", "make sandbox" if deploys else "make local")
    return "\n".join(["Next:", *(f"  {command}" for command in commands), "`make help` lists all commands."])


def main(answers: dict[str, Any], git: Git = run_git, run: Register = run_register) -> None:
    """Makes the repository and registers it, except under cruft, and prints what comes next."""
    folder = os.getcwd()
    deploys = "model_package_group" in answers
    if not under_cruft(answers):
        note = create_repository(git, str(answers.get("owner_email", "cookiecutter@localhost")))
        wanted = answers.get("register") is True
        committed = wanted and git(["rev-parse", "--verify", "--quiet", "HEAD"]).ok
        somebody_there = sys.stdin is not None and sys.stdin.isatty()
        about = register(run, wanted, committed, somebody_there)
        print("\n".join(line for line in (note, about, next_steps(folder, deploys)) if line), flush=True)
    elif not in_temporary_folder(folder):
        # cruft compares every file it finds, so a .git folder would become part of an update; and it
        # writes .cruft.json, which belongs in the first commit, only after this
        print(next_steps(folder, deploys, BY_HAND), flush=True)
