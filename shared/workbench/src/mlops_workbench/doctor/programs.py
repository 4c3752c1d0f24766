"""Python and the programs beside it: are they there, and new enough?"""

from __future__ import annotations

import importlib.util
import json
import os
import platform
import re
import shutil
import sys
from pathlib import Path

from .looking import Finding, note, ok, problem, run

OLDEST_PYTHON = (3, 11)
#: GIT_CONFIG_COUNT, by which registering gives git its token without a file, is understood since 2.31
OLDEST_GIT = (2, 31)
OLDEST_TERRAFORM = (1, 10)  # use_lockfile
ON_WINDOWS = os.name == "nt"


def findings(root: Path) -> list[Finding]:
    """One line for each program."""
    return [
        _system(),
        *_python(),
        _make(),
        *_git(root),
        _terraform(),
        _mounts(),
    ]


def _system() -> Finding:
    name = {"Darwin": "macOS"}.get(platform.system(), platform.system() or "an unknown system")
    words = f"{name} {platform.mac_ver()[0] if name == 'macOS' else platform.release()}, {platform.machine()}"
    if ON_WINDOWS:
        return note(
            f"{words}: register and publish work here; make and the jobs of the sandbox need Linux",
            "use WSL: https://learn.microsoft.com/windows/wsl/install",
        )
    return ok(words)


def _python() -> list[Finding]:
    found = sys.version_info[:2]
    if found < OLDEST_PYTHON:
        names = [f"python3.{minor}" for minor in range(20, OLDEST_PYTHON[1] - 1, -1)]
        newer = [name for name in names if shutil.which(name) and run([name, "-c", "pass"]).status == 0]
        fix = f"make setup PYTHON={newer[0]}" if newer else "install it: https://python.org/downloads"
        return [problem(f"Python: expected {_dots(OLDEST_PYTHON)} or newer, got {_dots(found)}", fix)]
    lines = [ok(f"Python {platform.python_version()} ({sys.executable})")]
    # Debian and Ubuntu have venv in a package of its own
    if importlib.util.find_spec("venv") is None or importlib.util.find_spec("ensurepip") is None:
        lines.append(
            problem(
                "Python: expected the modules venv and ensurepip, by which environments are made; not found",
                f"sudo apt install python{_dots(found)}-venv (Debian, Ubuntu)",
            )
        )
    return lines


def _make() -> Finding:
    if shutil.which("make"):
        return ok("make")
    fix = {"Darwin": "xcode-select --install", "Linux": "sudo apt install make (Debian, Ubuntu)"}.get(
        platform.system()
    )
    return note(
        "make: not found; the commands are also python -m …, as the Makefile shows",
        fix or "use WSL, or type what the Makefile's targets say",
    )


def _git(root: Path) -> list[Finding]:
    version = run(["git", "--version"])
    if version.status != 0:
        return [problem("git: not found", "install it: https://git-scm.com/downloads")]
    numbers = _numbers(version.out)
    if numbers < OLDEST_GIT:
        return [
            problem(
                f"git: expected {_dots(OLDEST_GIT)} or newer, got {_dots(numbers)}",
                "install a newer one: https://git-scm.com/downloads",
            )
        ]
    lines = [ok(f"git {_dots(numbers)}")]
    for key, example in (("user.name", "Your Name"), ("user.email", "you@example.org")):
        if not run(["git", "config", key], root).out.strip():
            lines.append(
                note(f"git: {key} is not set, and commits need it", f'git config --global {key} "{example}"')
            )
    top = run(["git", "rev-parse", "--show-toplevel"], root).out.strip()
    if not top or Path(top).resolve() != root.resolve():
        lines.append(
            problem(
                f"git: expected a repository in {root}, found none: what is published is a commit",
                'git init -b main && git add --all && git commit -m "As generated"',
            )
        )
    elif run(["git", "rev-parse", "--verify", "--quiet", "HEAD"], root).status != 0:
        lines.append(
            problem(
                "git: expected a commit, found none: what is published is a commit",
                'git add --all && git commit -m "As generated"',
            )
        )
    elif run(["git", "status", "--porcelain"], root).out.strip():
        lines.append(
            note("git: there are changes that are in no commit; only commits are published", "git status")
        )
    return lines


def _terraform() -> Finding:
    wanted, page = _dots(OLDEST_TERRAFORM), "https://developer.hashicorp.com/terraform/install"
    if shutil.which("terraform") is None:
        return note(
            f"Terraform: not found; register, unregister and the sandbox need {wanted} or newer",
            f"install it: {page}",
        )
    done = run(
        ["terraform", "version", "-json"], environment={**os.environ, "CHECKPOINT_DISABLE": "1"}, seconds=20
    )
    try:
        found = str(json.loads(done.out[done.out.index("{") :])["terraform_version"])
    except (ValueError, KeyError):
        words = (done.err or done.out).strip().splitlines()
        return problem(
            f"Terraform: expected it to say its version, got {words[0] if words else 'nothing'}",
            f"install it anew: {page}",
        )
    if _numbers(found) < OLDEST_TERRAFORM:
        return problem(f"Terraform: expected {wanted} or newer, got {found}", f"install a newer one: {page}")
    return ok(f"Terraform {found}")


def _mounts() -> Finding:
    """Whether an ordinary user can have mounts of their own: in one, a job of the sandbox finds /opt/ml."""
    what = "mounts of one's own (the sandbox gives each job its /opt/ml by one)"
    if platform.system() != "Linux":
        return note(f"{what}: Linux only; here the sandbox puts other paths into the jobs' arguments")
    mount = ["sh", "-c", "mount -t tmpfs tmpfs /opt"]  # ends with the command: nobody else sees it
    if any(run([*unshare, *mount]).status == 0 for unshare in (["unshare", "-Urmu"], ["unshare", "-mu"])):
        return ok(what)
    fix = None
    for switch, bad in (
        ("kernel.apparmor_restrict_unprivileged_userns", "1"),
        ("kernel.unprivileged_userns_clone", "0"),
        ("user.max_user_namespaces", "0"),
    ):
        if _kernel(switch) == bad:
            good = {"1": "0", "0": "1"}[bad] if switch != "user.max_user_namespaces" else "15000"
            fix = f"sudo sysctl -w {switch}={good}"
            break
    return note(f"{what}: not allowed here; the sandbox puts other paths into the jobs' arguments", fix)


def _kernel(switch: str) -> str | None:
    try:
        return Path("/proc/sys", *switch.split(".")).read_text(encoding="ascii").strip()
    except (OSError, UnicodeError):
        return None


def _numbers(text: str) -> tuple[int, ...]:
    """The first two numbers of a version."""
    found = re.search(r"(\d+)\.(\d+)", text)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def _dots(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))
