"""git, called so that a token is in no argument, no file and no log."""

import base64
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from configuration import UserError

TIMEOUT_SECONDS = 300


class State(NamedTuple):
    """The working copy: what would be sent."""

    commit: str | None
    subject: str
    branch: str | None  # None: no branch is checked out
    dirty: bool
    origin: str | None


def run(root: Path, *arguments: str, environment: Mapping[str, str] | None = None) -> str:
    """What git prints.

    Raises:
        UserError: git is not there or failed, with its own words.
    """
    try:
        done = subprocess.run(
            ["git", *arguments],
            cwd=root,
            env={**os.environ, **(environment or {}), "GIT_TERMINAL_PROMPT": "0"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=TIMEOUT_SECONDS,
        )
    except FileNotFoundError:
        raise UserError("git is not installed: https://git-scm.com/downloads") from None
    except subprocess.TimeoutExpired:
        raise UserError(f"git {arguments[0]}: no answer after {TIMEOUT_SECONDS} seconds") from None
    if done.returncode != 0:
        raise UserError(f"git {arguments[0]}: {first_line(done.stderr)}")
    return done.stdout.strip()


def ask(root: Path, *arguments: str) -> str | None:
    """What git prints; None when it has no answer."""
    try:
        return run(root, *arguments) or None
    except UserError:
        return None


def first_line(text: str) -> str:
    """The first line of a program's words that says something, for a message of one line."""
    return next((line.strip() for line in text.splitlines() if line.strip()), "no reason was given")


def state(root: Path) -> State:
    """What is checked out. A folder that is not the top of a repository has no commit."""
    top = ask(root, "rev-parse", "--show-toplevel")
    if top is None or Path(top).resolve() != root.resolve():
        return State(None, "", None, False, None)
    return State(
        commit=ask(root, "rev-parse", "--verify", "--quiet", "HEAD"),
        subject=ask(root, "log", "-1", "--format=%s") or "",
        branch=ask(root, "symbolic-ref", "--quiet", "--short", "HEAD"),
        # Terraform writes its lock file by itself, and nothing that is built depends on it.
        dirty=bool(ask(root, "status", "--porcelain", "--", ".", ":(exclude)*.terraform.lock.hcl")),
        origin=ask(root, "remote", "get-url", "origin"),
    )


def access(url: str, token: str, ca_file: str | None, user: str | None = None) -> dict[str, str]:
    """Environment variables that let git reach `url`, and only `url`, with a token.

    As variables, because every process of the machine can read a command's arguments.

    Args:
        url: the repository's address.
        token: an HTTP access token.
        ca_file: certificates that vouch for the server; None: the machine's own.
        user: the name that goes with the token in Bitbucket Cloud; None: a Bearer token, for Data Center.
    """
    basic = base64.b64encode(f"{user}:{token}".encode()).decode()
    credentials = f"Basic {basic}" if user else f"Bearer {token}"
    settings = [
        (f"http.{url}.extraHeader", f"Authorization: {credentials}"),
        (f"http.{url}.followRedirects", "false"),  # the header would go along to wherever it leads
        ("credential.helper", ""),  # a person's stored password is not asked for
    ]
    if ca_file:
        settings.append((f"http.{url}.sslCAInfo", ca_file))
    count = int(os.environ.get("GIT_CONFIG_COUNT") or 0)
    variables = {"GIT_CONFIG_COUNT": str(count + len(settings))}
    for number, (key, value) in enumerate(settings, start=count):
        variables[f"GIT_CONFIG_KEY_{number}"] = key
        variables[f"GIT_CONFIG_VALUE_{number}"] = value
    return variables


def branch_commit(root: Path, url: str, branch: str, environment: Mapping[str, str]) -> str | None:
    """The commit that a branch is at in another repository; None when it has no such branch."""
    reference = f"refs/heads/{branch}"
    for line in run(root, "ls-remote", url, reference, environment=environment).splitlines():
        commit, _, name = line.partition("\t")
        if name == reference:
            return commit
    return None
