"""The snapshot's files, written atomically and checked before they are read; and when one is written.

state/snapshot      one line of JSON (format, versions, checksum), then the pickles
state/objects/      the bytes of S3 objects, see ``pickling``
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import pickle
import platform
import stat
import threading
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

from mlops_workbench.sandbox.errors import SandboxError
from mlops_workbench.sandbox.state import pickling
from mlops_workbench.sandbox.state.pickling import Objects

#: Raise it when the classes of the sandbox that end up in a snapshot, or their modules, change.
FORMAT = 3
logger = logging.getLogger("mlops_workbench.sandbox.state")
#: Seconds between two snapshots, at the least; and the part of the time that they may take, as 1 / _SHARE.
_LEAST, _SHARE = 1.0, 10


class Store:
    """The folder that keeps the state of a sandbox."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.snapshot = folder / "snapshot"
        self._objects = Objects(folder / "objects")
        self._told: set[str] = set()

    def save(self) -> None:
        """Write moto's state. The snapshot before it stays until this one is whole."""
        self._make_folder()
        pickles, digests, lost = pickling.dump(self._objects)
        for line in lost:
            if line not in self._told:
                self._told.add(line)
                logger.warning("not kept after this process: %s", line)
        payload = pickle.dumps(pickles, protocol=5)
        header = {**_versions(), "sha256": hashlib.sha256(payload).hexdigest()}
        temporary = self.folder / "snapshot.new"
        with temporary.open("wb") as file:
            file.write(json.dumps(header).encode() + b"\n" + payload)
        os.replace(temporary, self.snapshot)
        self._objects.remove_all_but(digests)

    def load(self) -> list[str]:
        """Restore moto's state, which must have been reset.

        Returns:
            What a person should know, a line each: a snapshot that could not be used was set aside.

        Raises:
            SandboxError: the snapshot belongs to another user; unpickling it would run their code.
        """
        self._make_folder()
        content = self._read()
        if content is None:
            return []
        line, _, payload = content.partition(b"\n")
        try:
            header: dict[str, Any] = json.loads(line)
            written_with = {key: header[key] for key in _versions()}
            checksum = header["sha256"]
        except (ValueError, KeyError, TypeError):
            return [self._set_aside("damaged", "it has no readable header")]
        if written_with != _versions():
            theirs = f"moto {written_with['moto']}, Python {written_with['python']}"
            if written_with["format"] != FORMAT:
                theirs = f"another version of the sandbox (format {written_with['format']}, not {FORMAT})"
            return [self._set_aside("old", f"it was written with {theirs}")]
        if hashlib.sha256(payload).hexdigest() != checksum:
            return [self._set_aside("damaged", "its checksum does not match")]
        try:
            pickling.load(pickle.loads(payload), self._objects)
        except Exception as error:
            pickling.reset()
            return [self._set_aside("damaged", f"{type(error).__name__}: {error}")]
        return []

    def _make_folder(self) -> None:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = self.folder.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
            raise SandboxError(
                f"{self.folder}: expected a folder of user {os.getuid()}, got one of {found.st_uid}"
            )
        self.folder.chmod(0o700)

    def _read(self) -> bytes | None:
        try:
            descriptor = os.open(self.snapshot, os.O_RDONLY | os.O_NOFOLLOW)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise SandboxError(f"{self.snapshot}: cannot be read: {error.strerror}") from None
        with os.fdopen(descriptor, "rb") as file:
            owner = os.fstat(file.fileno()).st_uid
            if owner != os.getuid():
                raise SandboxError(
                    f"{self.snapshot}: belongs to user {owner}, not to {os.getuid()}; it is not read, "
                    "because reading it can run its writer's code; remove it or use another folder"
                )
            return file.read()

    def _set_aside(self, why: str, reason: str) -> str:
        """Move the whole folder away, objects included, so that nothing is lost, and start afresh."""
        aside = self.folder.with_name(
            f"{self.folder.name}.{why}-{time.strftime('%Y%m%dT%H%M%S')}-{os.getpid()}"
        )
        self.folder.rename(aside)
        self._make_folder()
        return f"the saved state cannot be used ({reason}); starting afresh, the old state is in {aside}"


def _versions() -> dict[str, Any]:
    python = ".".join(platform.python_version_tuple()[:2])
    return {"format": FORMAT, "moto": version("moto"), "python": python}


class Saver:
    """Saves when asked. Who asks soon after a snapshot shares the next one with all that ask until then.

    A snapshot takes the longer the more there is, and nothing goes on meanwhile: one after each of a thousand
    executions would take most of their time.
    """

    def __init__(self, save: Callable[[], None]) -> None:
        self._save = save
        self._lock = threading.Lock()
        self._next = 0.0
        self._saving = self._again = self._closed = False
        self._timer: threading.Timer | None = None
        self._planned = False

    def ask(self) -> None:
        """Save now if the last snapshot is old enough, else later, in a thread."""
        with self._lock:
            if self._closed or self._planned:
                return
            if self._saving:
                self._again = True
                return
            if (wait := self._next - time.monotonic()) > 0:
                self._plan(wait)
                return
            self._saving = True
        self._now()

    def close(self) -> None:
        """Save no more: who closes writes the last snapshot."""
        with self._lock:
            self._closed, timer = True, self._timer
        if timer is not None:
            timer.cancel()
            timer.join()

    def _plan(self, wait: float) -> None:
        self._planned = True
        self._timer = threading.Timer(wait, self._due)
        self._timer.daemon = True
        self._timer.start()

    def _due(self) -> None:
        with self._lock:
            self._planned = False
            if self._closed:
                return
            self._saving = True
        self._now()

    def _now(self) -> None:
        began = time.monotonic()
        try:
            self._save()
        finally:
            now = time.monotonic()
            pause = max(_LEAST, _SHARE * (now - began))
            with self._lock:
                self._saving, self._next = False, now + pause
                if self._again and not self._closed:
                    self._again = False
                    self._plan(pause)
