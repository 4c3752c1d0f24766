"""After `cruft update`: removes what the older template had and this one has not. `make tidy`.

cruft leaves a file where it cannot apply its own change, and where somebody has edited it. Here a file goes
only if its bytes are those that the older template generates, which is done again to compare; what was edited
stays and is named.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from configuration.command_line import agreed

STATE = ".cruft.json"

#: first folder of a file -> what does its work now
NOW_IN_THE_WORKBENCH = {
    "sandbox": "make sandbox",
    "delivery": "make register, make publish",
    "doctor": "make doctor",
    "cost": "make cost",
}

EPILOG = """\
Run it after `cruft update`, with everything committed. It lists, asks, and removes; what was edited stays.
Afterwards: git add --all && git commit. The exit status is 1 when something stood in its way.

examples:
  make tidy
  make tidy ARGS="--from v1.2"                               beside this version of the template
  python wheels/mlops_workbench-….whl/mlops_workbench tidy   where there is no make
"""


class UpgradeError(Exception):
    """What stands in the way; one sentence for a person."""


class Leftovers(NamedTuple):
    """What the older template generated, the newer does not, and the repository still has.

    A folder, with a slash at its end, holds nothing but Python's caches.
    """

    as_generated: list[str]
    edited: list[str]


def main(arguments: Sequence[str] | None = None) -> int:
    """Lists, asks, removes; 1 when something stood in its way."""
    options = _parser().parse_args(arguments)
    try:
        return tidy(options.root.resolve(), options.older, yes=options.yes)
    except UpgradeError as error:
        print(f"tidy: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("tidy: interrupted", file=sys.stderr)
        return 1


def tidy(root: Path, older: str | None, *, yes: bool) -> int:
    """Removes what is left of an older template.

    Args:
        root: the generated repository.
        older: the commit of the template to compare with; None: the one before the last update.
        yes: nobody has to be asked.

    Returns:
        The exit status.

    Raises:
        UpgradeError: something stands in the way.
    """
    newest = state(root)
    expect_committed(root)
    before = {**newest, "commit": older} if older else state_before(root, newest)
    with tempfile.TemporaryDirectory() as name:
        print(
            f"Comparing the template at {before['commit'][:12]} with {newest['commit'][:12]} ...", flush=True
        )
        was = generated(before, Path(name) / "was")
        now = generated(newest, Path(name) / "now")
        found = leftovers(root, was, now)
    if rejected := git(root, "ls-files", "-co", "--exclude-standard", "--", "*.rej").splitlines():
        print("\ncruft could not merge these: take it over into the file of that name, then remove them.")
        print("\n".join(f"  {path}" for path in rejected))
    if found.edited:
        print("\nThe template has these no more, and you have edited them: they stay.")
        print("\n".join(f"  {path}{_where(path)}" for path in found.edited))
        print(
            "Your edit: git log -p -- <file>. Nothing uses the file: take over what you need, then git rm it."
        )
    if not found.as_generated:
        print("\nNothing to remove.")
        return 0
    print(f"\nThe template has these no more, and they are as it generated them ({len(found.as_generated)}):")
    print("\n".join(f"  {path}" for path in found.as_generated), flush=True)
    if not agreed("Remove them? [y/N] ", yes=yes):
        return 1
    remove(root, found.as_generated)
    print(f"Removed: {len(found.as_generated)}. Then: git add --all && git commit")
    return 0


def state(root: Path) -> dict[str, Any]:
    """What cruft has written about the repository.

    Raises:
        UpgradeError: it has not, or the folder is not in a git repository.
    """
    path = root / STATE
    if not path.is_file():
        raise UpgradeError(
            f"{path}: expected what cruft writes, found none; cruft link makes it, after cookiecutter"
        )
    return _read(path.read_text(encoding="utf-8"), str(path))


def _read(text: str, where: str) -> dict[str, Any]:
    try:
        read: dict[str, Any] = json.loads(text)
        read["commit"][:0], read["template"][:0], read["context"]["cookiecutter"].items()
    except (ValueError, KeyError, TypeError, AttributeError):
        raise UpgradeError(
            f"{where}: expected cruft's commit, template and context, found something else"
        ) from None
    return read


def expect_committed(root: Path) -> None:
    """Nothing, where everything is committed: then git brings back whatever is removed.

    Raises:
        UpgradeError: something is not.
    """
    changed = git(root, "status", "--porcelain", "--untracked-files=no", "--", ".").splitlines()
    if changed:
        first = changed[0][3:]
        more = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
        raise UpgradeError(
            f"expected everything to be committed, found changes in {first}{more}: git commit first"
        )


def state_before(root: Path, newest: dict[str, Any]) -> dict[str, Any]:
    """What cruft had written before the last update, from the repository's history.

    Raises:
        UpgradeError: there was no update.
    """
    for commit in git(root, "log", "--format=%H", "--", STATE).splitlines():
        text = git(root, "show", f"{commit}:./{STATE}", or_else="")
        if text and (earlier := _read(text, f"{STATE} at {commit[:12]}"))["commit"] != newest["commit"]:
            return earlier
    raise UpgradeError(
        f"{STATE}: its history names no commit of the template but {newest['commit'][:12]}: run cruft update "
        "first, or name the one to compare with: --from <commit>"
    )


def generated(state: dict[str, Any], into: Path) -> Path:
    """Generates a repository as cruft does, and nothing outside its folder.

    Args:
        state: what cruft has written about it.
        into: an empty folder, below the temporary one, in which the hooks make no repository.

    Raises:
        UpgradeError: cruft is not installed, or does not reach the template or the commit.
    """
    answers = {key: value for key, value in state["context"]["cookiecutter"].items() if key[:1] != "_"}
    if "register" in answers:
        answers["register"] = False  # cruft before 2.16 did not tell the older hooks that it is cruft
    into.mkdir()
    context = into.with_suffix(".json")
    context.write_text(json.dumps(answers), encoding="utf-8", newline="\n")
    command = [*cruft(), "create", state["template"], "--no-input", "--checkout", state["commit"]]
    command += ["--directory", state["directory"]] if state.get("directory") else []
    command += ["--extra-context-file", str(context), "--output-dir", str(into)]
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, encoding="utf-8", errors="replace"
    )
    made = [path for path in into.iterdir() if path.is_dir()]
    if done.returncode or len(made) != 1:
        words = (done.stderr.strip() or done.stdout.strip()).splitlines()
        reason = words[-1] if words else "it does not say why"
        raise UpgradeError(f"cruft could not generate {state['template']} at {state['commit']}: {reason}")
    return made[0]


def cruft() -> list[str]:
    """The command; of this environment, or of one of its own (pipx).

    Raises:
        UpgradeError: there is none.
    """
    if find_spec("cruft"):
        return [sys.executable, "-m", "cruft"]
    if found := shutil.which("cruft"):
        return [found]
    raise UpgradeError("cruft is not installed: pip install cruft")


def leftovers(root: Path, was: Path, now: Path) -> Leftovers:
    """What is in a repository because of an older template only.

    Args:
        root: the repository.
        was: what the older template generates.
        now: what the newer one generates.
    """
    found = Leftovers([], [])
    for path in sorted(set(files(was)) - set(files(now))):
        ours = root / path
        if ours.is_symlink() or not ours.is_file():
            continue
        same = ours.resolve() == ours and ours.read_bytes() == (was / path).read_bytes()
        (found.as_generated if same else found.edited).append(path)
    for folder in sorted(folders(was) - folders(now)):
        ours = root / folder
        inside = any(folder.startswith(listed) for listed in found.as_generated)
        if ours.is_dir() and ours.resolve() == ours and not inside and only_caches(ours):
            found.as_generated.append(f"{folder}/")
    return found


def files(folder: Path) -> list[str]:
    """The files below a folder, without what git and cruft keep for themselves."""
    paths = [path.relative_to(folder) for path in folder.rglob("*") if path.is_file()]
    return [path.as_posix() for path in paths if path.parts[0] not in (".git", STATE)]


def folders(folder: Path) -> set[str]:
    """The folders below a folder that have files in them, at any depth."""
    return {parent.as_posix() for path in files(folder) for parent in Path(path).parents} - {"."}


def only_caches(folder: Path) -> bool:
    """Whether a folder holds nothing but what Python has compiled."""
    return all(
        "__pycache__" in path.relative_to(folder).parts for path in folder.rglob("*") if not path.is_dir()
    )


def remove(root: Path, paths: Iterable[str]) -> None:
    """Removes files and folders, and the folders in which nothing but Python's caches is left then.

    Raises:
        UpgradeError: one could not be removed.
    """
    try:
        for path in paths:
            if path.endswith("/"):
                shutil.rmtree(root / path)
            else:
                (root / path).unlink()
            for folder in (root / path).parents:
                if folder == root or not only_caches(folder):
                    break
                shutil.rmtree(folder)
    except OSError as error:
        raise UpgradeError(f"{error.filename}: {error.strerror}; mend that and run it again") from None


def git(root: Path, *arguments: str, or_else: str | None = None) -> str:
    """What git prints.

    Raises:
        UpgradeError: git is not there, or failed and there is no `or_else`.
    """
    try:
        command = ["git", *arguments]
        done = subprocess.run(command, cwd=root, capture_output=True, encoding="utf-8", errors="replace")
    except FileNotFoundError:
        raise UpgradeError("git is not installed: https://git-scm.com/downloads") from None
    if done.returncode == 0:
        return done.stdout
    if or_else is not None:
        return or_else
    words = done.stderr.strip().splitlines() or ["no reason"]
    raise UpgradeError(f"git {arguments[0]}: {words[0]}")


def _where(path: str) -> str:
    """What does a file's work now, to stand behind its name."""
    command = NOW_IN_THE_WORKBENCH.get(path.partition("/")[0])
    return f"  (now in the workbench's wheel: {command}; `make read-tools` unpacks it)" if command else ""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m mlops_workbench tidy",
        description="Remove what an older template had and the one of the last `cruft update` has not.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--root", type=Path, default=Path("."), help="the generated repository (default: here)"
    )
    parser.add_argument(
        "--from",
        dest="older",
        metavar="COMMIT",
        help="of the template (default: what .cruft.json named before)",
    )
    parser.add_argument("--yes", action="store_true", help="do not ask")
    return parser


if __name__ == "__main__":
    sys.exit(main())
