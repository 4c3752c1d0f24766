"""When to write a snapshot: at once, but not all the time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

#: Seconds between two snapshots, at the least; and the part of the time that they may take, as 1 / _SHARE.
_LEAST, _SHARE = 1.0, 10


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
