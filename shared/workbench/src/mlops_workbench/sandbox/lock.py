"""One process for each folder."""

from __future__ import annotations

import os
from pathlib import Path

from mlops_workbench.sandbox.errors import SandboxError


class FolderLock:
    """A lock on ``folder/lock`` that the system frees when the process ends, however it ends."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "lock"
        self._descriptor: int | None = None

    def acquire(self) -> None:
        """Take the lock and write this process's id into it.

        Raises:
            SandboxError: another process has it; the message names the process.
        """
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise SandboxError(
                f"{self.path.parent}: cannot be used as the sandbox's folder: {error.strerror}"
            ) from None
        import fcntl  # Windows has none, and may import all but this

        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(descriptor, 32).decode("ascii", "replace").strip() or "unknown"
            os.close(descriptor)
            raise SandboxError(
                f"{self.path.parent}: in use by process {holder}; wait for it to end, or use another folder"
            ) from None
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode())
        self._descriptor = descriptor

    def release(self) -> None:
        """Free the lock."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
