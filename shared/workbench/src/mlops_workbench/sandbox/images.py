"""Which Python environment stands for which container image: ``sandbox.toml``.

    [[image]]
    match = "huggingface-pytorch-training"        # a regular expression, searched for in the image's URI
    python = ".venv-container/bin/python"         # relative to this file

The first entry that matches wins.
"""

from __future__ import annotations

import os
import re
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mlops_workbench.sandbox.errors import RESOURCE_LIMIT, JobFailed


class ImagesError(ValueError):
    """``sandbox.toml`` cannot be used; one line: file, key, what was expected, what was found."""


@dataclass(frozen=True)
class Image:
    """One entry: the images it stands for, and the interpreter that runs them."""

    match: re.Pattern[str]
    python: Path
    environment: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Images:
    """The declared mapping from image URIs to Python environments."""

    entries: tuple[Image, ...] = ()
    source: Path | None = None

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Images:
        """Read ``sandbox.toml``.

        Raises:
            ImagesError: the file is missing, is not TOML, or an entry is not of the form above.
        """
        source = Path(path)
        try:
            document = tomllib.loads(source.read_text("utf-8"))
        except FileNotFoundError:
            raise ImagesError(
                f"{source}: no such file; it says which Python environment stands for which image"
            ) from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ImagesError(f"{source}: not valid TOML: {error}") from None
        entries = document.get("image", [])
        if not isinstance(entries, list) or not entries:
            raise ImagesError(f"{source}: image: expected at least one [[image]] table, got none")
        unknown = sorted(set(document) - {"image"})
        if unknown:
            raise ImagesError(f"{source}: {unknown[0]}: unknown key; only [[image]] tables are read")
        read = (_read_entry(source, number, entry) for number, entry in enumerate(entries, 1))
        return cls(tuple(read), source)

    @classmethod
    def single(cls, python: str | os.PathLike[str]) -> Images:
        """One environment for every image."""
        return cls((Image(re.compile(""), _absolute(Path(python))),))

    def find(self, image_uri: str) -> Image:
        """Return the entry for an image.

        Raises:
            JobFailed: no entry matches, or its interpreter does not exist.
        """
        where = self.source or "the images given"
        for entry in self.entries:
            if entry.match.search(image_uri):
                if not os.access(entry.python, os.X_OK):
                    raise JobFailed(
                        f"{where}: python: expected an interpreter for image {image_uri}, "
                        f"got {entry.python}, which is not an executable file",
                        kind=RESOURCE_LIMIT,
                    )
                return entry
        known = ", ".join(f'"{entry.match.pattern}"' for entry in self.entries) or "none"
        raise JobFailed(
            f"{where}: no [[image]] entry matches {image_uri} (entries: {known})", kind=RESOURCE_LIMIT
        )

    def python_for(self, image_uri: str) -> Path:
        """Return the interpreter that stands for an image; errors as in ``find``."""
        return self.find(image_uri).python


def _read_entry(source: Path, number: int, entry: Any) -> Image:
    where = f"{source}: image {number}"
    if not isinstance(entry, dict):
        raise ImagesError(f"{where}: expected a table, got {entry!r}")
    unknown = sorted(set(entry) - {"match", "python", "environment"})
    if unknown:
        raise ImagesError(f"{where}: {unknown[0]}: unknown key; known are match, python, environment")
    for key in ("match", "python"):
        if not isinstance(entry.get(key), str) or not entry[key]:
            raise ImagesError(f"{where}: {key}: expected a string, got {entry.get(key)!r}")
    environment = entry.get("environment", {})
    if not isinstance(environment, dict) or not all(isinstance(v, str) for v in environment.values()):
        raise ImagesError(f"{where}: environment: expected a table of strings, got {environment!r}")
    try:
        match = re.compile(entry["match"])
    except re.error as error:
        raise ImagesError(
            f"{where}: match: expected a regular expression, got {entry['match']!r} ({error})"
        ) from None
    python = Path(os.path.expandvars(entry["python"])).expanduser()
    return Image(match, _absolute(source.parent / python), dict(environment))


def _absolute(path: Path) -> Path:
    # Not resolve(): a virtual environment's bin/python is a link, and following it leaves the environment.
    return Path(os.path.abspath(path))
