"""The bytes of S3 objects: one file for each different content, named by its SHA-256.

A model of 90 MB is written once, however many snapshots, keys and versions refer to it, and a restored
sandbox reads it from there instead of holding it in memory.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

_CHUNK = 1 << 20


class KeptBytes:
    """A kept file as moto's S3 keys use their buffer: seek, read, close.

    The file is opened for each read, so that ten thousand objects do not need ten thousand descriptors.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._position = 0

    @property
    def digest(self) -> str:
        """Return the content's SHA-256, in hexadecimal."""
        return self.path.name

    def seek(self, position: int) -> int:
        """Set where the next read starts, in bytes from the beginning."""
        self._position = position
        return position

    def read(self, size: int = -1) -> bytes:
        """Read ``size`` bytes, or all that is left."""
        with self.path.open("rb") as file:
            file.seek(self._position)
            data = file.read(size)
        self._position += len(data)
        return data

    def close(self) -> None:
        """Do nothing: no file is held open."""


class Objects:
    """The folder of kept files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def keep(self, source: BinaryIO) -> KeptBytes:
        """Copy a stream, from its start, into the folder, unless its content is there already."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        digest = hashlib.sha256()
        source.seek(0)
        descriptor, name = tempfile.mkstemp(dir=self.folder, prefix="new-")
        try:
            with os.fdopen(descriptor, "wb") as target:
                while chunk := source.read(_CHUNK):
                    digest.update(chunk)
                    target.write(chunk)
            path = self.folder / digest.hexdigest()
            os.replace(name, path)
        except BaseException:
            os.unlink(name)
            raise
        return KeptBytes(path)

    def get(self, digest: str) -> KeptBytes:
        """Return a kept content.

        Raises:
            FileNotFoundError: it is not there.
        """
        path = self.folder / digest
        if not path.is_file():
            raise FileNotFoundError(f"{path}: the bytes of an object are missing")
        return KeptBytes(path)

    def remove_all_but(self, digests: Iterable[str]) -> None:
        """Delete the files that no object refers to, and what an interrupted copy left."""
        wanted = set(digests)
        if self.folder.is_dir():
            for path in self.folder.iterdir():
                if path.name not in wanted:
                    path.unlink()
