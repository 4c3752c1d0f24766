"""Zip archives: what a build leaves, and what the next action unpacks.

How patterns are read is [read] in the buildspec reference: ``*`` stays in a folder, ``**/*`` goes down into
all.
"""

from __future__ import annotations

import os
import re
import zipfile
from pathlib import Path

from mlops_workbench.sandbox.delivery.buildspec import Artifact

#: What an archive may hold when unpacked; more is a mistake, or an attack.
_LARGEST = 8 << 30


class ArtifactError(ValueError):
    """An artifact that cannot be made or read; one line."""


def select(artifact: Artifact, source: Path) -> list[tuple[Path, str]]:
    """Return the files of an artifact and their names in the archive, sorted by name.

    Raises:
        ArtifactError: the base directory does not exist, or no file matches; the words are CodeBuild's.
    """
    base = source / (artifact.base_directory or ".")
    if not base.is_dir():
        raise ArtifactError(f"no matching base directory path found for {artifact.base_directory}")
    wanted = [_pattern(entry) for entry in artifact.files]
    unwanted = [_pattern(entry) for entry in artifact.exclude]
    chosen: dict[str, Path] = {}
    for path in _walk(base):
        name = path.relative_to(base).as_posix()
        if any(p.fullmatch(name) for p in wanted) and not any(p.fullmatch(name) for p in unwanted):
            chosen[path.name if artifact.discard_paths else name] = path
    if not chosen:
        raise ArtifactError(f"no matching artifact paths found ({', '.join(artifact.files)})")
    return sorted(((path, name) for name, path in chosen.items()), key=lambda entry: entry[1])


def pack(files: list[tuple[Path, str]], archive: Path) -> None:
    """Write files into a zip, each with its permissions."""
    with zipfile.ZipFile(
        archive, "w", zipfile.ZIP_DEFLATED, compresslevel=1, strict_timestamps=False
    ) as target:
        for path, name in files:
            target.write(path, name)


def unpack(archive: Path, folder: Path, origin: str) -> None:
    """Extract a zip, with the permissions that it carries.

    Raises:
        ArtifactError: it is not a zip, an entry leads out of the folder, or it is too large; ``origin``
        names it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    root = folder.resolve()
    try:
        with zipfile.ZipFile(archive) as source:
            if sum(entry.file_size for entry in source.infolist()) > _LARGEST:
                raise ArtifactError(f"{origin}: more than {_LARGEST >> 30} GiB when unpacked")
            for entry in source.infolist():
                target = (root / entry.filename).resolve()
                if not target.is_relative_to(root):
                    raise ArtifactError(f"{origin}: {entry.filename!r} leads out of the archive's folder")
                source.extract(entry, root)
                mode = (entry.external_attr >> 16) & 0o777
                if mode and not entry.is_dir():
                    target.chmod(mode | 0o600)
    except (zipfile.BadZipFile, OSError) as error:
        raise ArtifactError(f"{origin}: expected a zip archive: {error}") from None


def _walk(base: Path) -> list[Path]:
    return [Path(folder) / name for folder, _, names in os.walk(base) for name in names]


def _pattern(text: str) -> re.Pattern[str]:
    """Translate a path pattern: ``**/`` any folders or none, ``*`` and ``?`` within one name."""
    text = re.sub(r"^(\./)+", "", text)
    pieces = re.split(r"(\*\*/|\*\*|\*|\?)", text)
    meaning = {"**/": "(?:[^/]+/)*", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    return re.compile("".join(meaning.get(piece) or re.escape(piece) for piece in pieces))
