"""What generation adds to a template's own files: parts that templates share, and the workbench as one wheel.

Nothing is copied beforehand: the same files are read from the checkout that the template is in, whichever way
it came here (a folder, a clone, a zip, cruft).
"""

from __future__ import annotations

import base64
import hashlib
import io
import re
import zipfile
from pathlib import Path
from typing import Any, Iterable, Iterator

COLLECTION = Path(__file__).resolve().parents[1]
PARTS = COLLECTION / "shared/parts"
# What each template gets of them; what is below a part goes to the same place in the repository.
PARTS_OF = {
    "model-build": ("everywhere", "pipeline"),
    "serverless-inference": ("everywhere", "release"),
    "batch-inference": ("everywhere", "release", "pipeline"),
}
FOR_BITBUCKET_CLOUD = "cloud"
WORKBENCH = COLLECTION / "shared/workbench"
PACKAGE = "mlops_workbench"
# Part of the wheel as data: what the sandbox applies, and what a platform engineer may read.
FOUNDATION = COLLECTION / "shared/foundation"

REQUIREMENT = "requirements/workbench.txt"
REQUIREMENT_TEXT = """\
# What a laptop needs and AWS does not: the sandbox, doctor, cost, and what registers and publishes.
# It is source text, packed; `make read-tools` unpacks it. It never travels to AWS (.gitattributes).
./wheels/{name} --hash=sha256:{digest}
"""
# Not among the parts: `git archive` writes the commit into it (.gitattributes: export-subst), and an archive
# of this collection would have the collection's commit there.
COMMIT, COMMIT_TEXT = ".commit", "$Format:%H$\n"
OWNERS = ".bitbucket/CODEOWNERS"
OWNERS_TEXT = """\
# Who is asked to review what. Bitbucket Data Center (8.14 and newer) and Bitbucket Cloud both read this file,
# here, from the branch that a pull request goes to; an owner is an e-mail address in both. The last line that
# fits a file decides.
*  {owner}
"""

# What tools and operating systems leave beside sources.
LITTER = (
    "__pycache__",
    ".*_cache",
    ".DS_Store",
    "*.egg-info",
    "*.pyc",
    ".terraform*",
    "*.tfstate*",
    "*.tfvars",
    "build",
)


class AssemblyError(Exception):
    """The collection is not complete; one sentence for a person."""


def parts(template: str, answers: dict[str, Any]) -> list[Path]:
    """The folders whose files a repository gets beside its template's own.

    Args:
        template: the folder of the template.
        answers: what the person said.

    Raises:
        AssemblyError: one is missing.
    """
    names = [*PARTS_OF[template], *([FOR_BITBUCKET_CLOUD] if answers["bitbucket_hosting"] == "cloud" else [])]
    folders = [PARTS / name for name in names]
    for folder in folders:
        expect(folder)
    return folders


def expect(folder: Path) -> None:
    """Nothing, where the folder is.

    Raises:
        AssemblyError: it is not.
    """
    if not folder.is_dir():
        raise AssemblyError(f"{folder}: expected a folder of the collection, found none")


def add_wheel(project: Path) -> None:
    """Writes the workbench into the folder of a repository, in the place of another version of it.

    Raises:
        AssemblyError: the checkout is not complete.
        OSError: something could not be read or written.
    """
    for other in (project / "wheels").glob(f"{PACKAGE}-*.whl"):
        other.unlink()
    write(project / "wheels" / wheel_name(), wheel_content())


def add_parts(project: Path, folders: Iterable[Path], owner: str) -> None:
    """Writes what templates share beside a template's own files.

    Args:
        project: the folder of the new repository.
        folders: the parts; what is below each goes to the same place in the repository.
        owner: the e-mail address of who reviews changes.

    Raises:
        AssemblyError: the checkout is not complete.
        OSError: something could not be read or written.
    """
    for folder in folders:
        for source in files(folder):
            # not the mode: a zip has lost it
            write(project / source.relative_to(folder), source.read_bytes())
    digest = hashlib.sha256((project / "wheels" / wheel_name()).read_bytes()).hexdigest()
    write(project / REQUIREMENT, REQUIREMENT_TEXT.format(name=wheel_name(), digest=digest).encode())
    write(project / COMMIT, COMMIT_TEXT.encode())
    write(project / OWNERS, OWNERS_TEXT.format(owner=owner).encode())


def write(path: Path, content: bytes) -> None:
    """Writes a file, and the folders above it where they are missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def files(folder: Path) -> Iterator[Path]:
    """The files below a folder, sorted, without litter.

    Raises:
        AssemblyError: there is no such folder.
    """
    expect(folder)
    for child in sorted(folder.iterdir(), key=lambda path: path.name):
        if any(child.match(pattern) for pattern in LITTER):
            continue
        if child.is_dir():
            yield from files(child)
        else:
            yield child


def version() -> str:
    """The workbench's version, as its package says it.

    Raises:
        AssemblyError: it does not.
    """
    source = WORKBENCH / "src" / PACKAGE / "__init__.py"
    expect(source.parent)
    found = re.search(r'^__version__ = "(.+)"$', source.read_text(encoding="utf-8"), re.MULTILINE)
    if found is None:
        raise AssemblyError(f"{source}: expected __version__, found none")
    return found[1]


def wheel_name() -> str:
    """The wheel's file name: another version is another file, so that `cruft update` swaps the two."""
    return f"{PACKAGE}-{version()}-py3-none-any.whl"


def wheel_content() -> bytes:
    """A pure Python wheel whose bytes depend on names and contents alone.

    Nothing is compressed, as deflate's bytes depend on zlib's version; the times are fixed.
    The form: https://packaging.python.org/specifications/binary-distribution-format
    """
    info = f"{PACKAGE}-{version()}.dist-info"
    source, entries = WORKBENCH / "src", {}
    for path in files(source / PACKAGE):
        entries[path.relative_to(source).as_posix()] = path.read_bytes()
    for path in files(FOUNDATION):
        entries[f"{PACKAGE}/foundation/{path.relative_to(FOUNDATION).as_posix()}"] = path.read_bytes()
    entries[f"{info}/METADATA"] = (
        f"Metadata-Version: 2.1\nName: {PACKAGE.replace('_', '-')}\nVersion: {version()}\n"
        "Requires-Python: >=3.11\n"
    ).encode()
    entries[f"{info}/WHEEL"] = (
        b"Wheel-Version: 1.0\nGenerator: collection\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    )
    entries[f"{info}/entry_points.txt"] = (
        f"[console_scripts]\nmlops-sandbox = {PACKAGE}.sandbox.cli:main\n".encode()
    )
    record = "".join(f"{name},sha256={digest(data)},{len(data)}\n" for name, data in entries.items())
    entries[f"{info}/RECORD"] = f"{record}{info}/RECORD,,\n".encode()
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_STORED) as archive:
        for name, data in entries.items():
            entry = zipfile.ZipInfo(name)  # of 1980-01-01
            entry.create_system = 3  # Unix, wherever this runs: the mode below means nothing otherwise
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, data)
    return made.getvalue()


def digest(data: bytes) -> str:
    """A SHA-256 as wheels write it: base64 for URLs, without padding."""
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()


if __name__ == "__main__":  # the hash that the release's notes carry: python -m hooks.assembly
    print(f"{wheel_name()}  SHA-256 {hashlib.sha256(wheel_content()).hexdigest()}")
