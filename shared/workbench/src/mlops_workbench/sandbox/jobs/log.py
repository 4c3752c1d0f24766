"""A job's lines: into its file, to whoever follows it, the last few kept for the report of a failure."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from pathlib import Path

_KEPT = 50  # lines


class JobLog:
    """Takes lines from several threads."""

    def __init__(self, path: Path, job: str, follow: Callable[[str, str], None]) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("w", encoding="utf-8")
        self._job = job
        self._follow = follow
        self._lock = threading.Lock()
        self._last: deque[str] = deque(maxlen=_KEPT)
        self._watchers: list[Callable[[str], None]] = []

    def watch(self, watcher: Callable[[str], None]) -> None:
        """Have ``watcher`` called with every line of the containers, without a prefix."""
        self._watchers.append(watcher)

    def line(self, text: str, host: str | None = None) -> None:
        """Take one line; ``host`` is named before it when the job has several."""
        shown = f"[{host}] {text}" if host else text
        with self._lock:
            if self._file.closed:
                return
            self._file.write(shown + "\n")
            self._file.flush()
            self._last.append(shown)
            for watcher in self._watchers:
                watcher(text)
        self._follow(self._job, shown)

    def last_lines(self) -> list[str]:
        """Return the last lines, oldest first."""
        with self._lock:
            return list(self._last)

    def close(self) -> None:
        """Close the file; lines that come later are dropped."""
        with self._lock:
            self._file.close()
