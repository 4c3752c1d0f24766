"""`make sync`: copies what the templates share into each of them; `--check` only says what is out of step.

Copies, because every other way of sharing breaks under some way of generating: symbolic links come out empty
or as text, and neither cruft nor a zip lets a template reach its neighbours.

tools/copies.txt lists the copies, so that one is removed when its source is gone. Only listed files are ever
removed: a file that somebody put among the copies is named, and left to them.
"""

import argparse
import json
import shutil
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

COLLECTION = Path(__file__).resolve().parents[1]
LIST = Path("tools/copies.txt")
PROJECT = "{{cookiecutter.project_slug}}"

# what only some templates share, and which
OF_SOME = {
    Path("shared/release"): ("serverless-inference", "batch-inference"),
    Path("shared/pipeline"): ("model-build", "batch-inference"),
}
# source -> where it goes, from the folder of each template
SHARED = {
    Path("hooks"): Path("hooks"),
    Path("shared/template"): Path(PROJECT),
    Path("shared/sandbox/README.md"): Path(PROJECT, "sandbox/README.md"),
    Path("shared/sandbox/pyproject.toml"): Path(PROJECT, "sandbox/pyproject.toml"),
    Path("shared/sandbox/src"): Path(PROJECT, "sandbox/src"),
    # the sandbox applies it, so that a generated repository can rehearse its delivery by itself
    Path("shared/foundation"): Path(PROJECT, "sandbox/foundation"),
    **{source: Path(PROJECT) for source in OF_SOME},
}
# folders of a template that hold copies and nothing else
ONLY_COPIES = (Path("hooks"), Path(PROJECT, "sandbox"))

# what tools and operating systems leave beside sources
LITTER = (
    "__pycache__",
    ".mypy_cache",
    ".pytest_cache",
    ".ruff_cache",
    ".DS_Store",
    "*.egg-info",
    "*.pyc",
    ".terraform*",
    "*.tfstate*",
    "*.tfvars",
    "build",
)


def main() -> int:
    """The exit status: 1 when something is out of step in the end, or a source is missing."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--check", action="store_true", help="change nothing; exit 1 when a copy is out of step"
    )
    options = parser.parse_args()
    try:
        return check(COLLECTION) if options.check else synchronise(COLLECTION)
    except FileNotFoundError as error:
        print(f"{error.filename}: expected, because tools/sync.py copies it; not found", file=sys.stderr)
        return 1


def check(collection: Path) -> int:
    """Prints each path that is out of step; the exit status."""
    wrong = differences(collection)
    for path, reason in wrong.items():
        print(f"{path.as_posix()}: {reason}")
    if wrong:
        print("`make sync` makes the copies anew.")
    return 1 if wrong else 0


def synchronise(collection: Path) -> int:
    """Makes every copy equal to its source and removes those without one; the exit status."""
    wanted = copies(collection)
    changed = differences(collection).keys() & (wanted.keys() | listed(collection))
    for path in sorted(changed):
        target = collection / path
        target.unlink(missing_ok=True)
        if path in wanted:
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(collection / wanted[path], target)  # contents and mode
        else:
            remove_empty_folders(target.parent)
    lines = "".join(f"{path.as_posix()}\n" for path in sorted(wanted))
    (collection / LIST).write_text(lines, encoding="utf-8", newline="\n")
    print(f"{len(wanted)} copies, {len(changed)} changed")
    return check(collection)


def templates(collection: Path) -> list[Path]:
    """The folders of the templates in the menu, relative to the collection."""
    menu = json.loads((collection / "cookiecutter.json").read_text(encoding="utf-8"))["templates"]
    return [Path(entry["path"]) for entry in menu.values()]


def copies(collection: Path) -> dict[Path, Path]:
    """Every copy that there should be, and its source; both relative to the collection."""
    return {
        template / to / source.relative_to(shared): source
        for template in templates(collection)
        for shared, to in SHARED.items()
        if template.name in OF_SOME.get(shared, (template.name,))
        for source in files(collection, shared)
    }


def files(collection: Path, path: Path) -> Iterator[Path]:
    """The files at or under `path`, relative to the collection, without litter.

    Raises:
        FileNotFoundError: there is no such file or folder.
    """
    if not (collection / path).is_dir():
        (collection / path).stat()
        yield path
        return
    for child in sorted((collection / path).iterdir()):
        if not any(child.match(pattern) for pattern in LITTER):
            yield from files(collection, path / child.name)


def listed(collection: Path) -> set[Path]:
    """The copies that the last synchronisation made."""
    try:
        lines = (collection / LIST).read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return set()
    return {Path(line) for line in lines}


def differences(collection: Path) -> dict[Path, str]:
    """Each path that is not as it should be, with the reason."""
    wanted = copies(collection)
    found = {copy: difference(collection / source, collection / copy) for copy, source in wanted.items()}
    wrong = {copy: f"{reason} {wanted[copy].as_posix()}" for copy, reason in found.items() if reason}
    for path in sorted(listed(collection) - wanted.keys()):
        wrong[path] = "a copy whose source is gone"
    for path in among_copies(collection):
        if path not in wanted:
            wrong.setdefault(path, "not a copy, in a folder of copies: move it to where the sources are")
    if listed(collection) != wanted.keys():
        wrong.setdefault(LIST, "does not list the copies that there should be")
    return wrong


def difference(source: Path, copy: Path) -> str:
    """How a copy differs from its source; empty when it does not. Of the mode, git keeps who may execute."""
    if copy.is_symlink() or not copy.is_file():
        return "missing; should be a copy of"
    if copy.read_bytes() != source.read_bytes():
        return "differs from"
    if (copy.stat().st_mode ^ source.stat().st_mode) & stat.S_IXUSR:
        return "has another mode than"
    return ""


def among_copies(collection: Path) -> list[Path]:
    """The files in folders that hold copies and nothing else."""
    folders = [template / folder for template in templates(collection) for folder in ONLY_COPIES]
    return [
        path for folder in folders if (collection / folder).is_dir() for path in files(collection, folder)
    ]


def remove_empty_folders(folder: Path) -> None:
    """Removes `folder`, and those above that this leaves empty."""
    while folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()
        folder = folder.parent


if __name__ == "__main__":
    sys.exit(main())
