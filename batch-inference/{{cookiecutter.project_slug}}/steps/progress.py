"""What a long step shows: a calm line now and then, the same in a terminal and in a log."""

from __future__ import annotations

import time


class Progress:
    """Tells how far it is.

    Args:
        what: is done to the rows: "read".
    """

    SECONDS = 5.0
    """Between two lines."""

    EVERY = 1000
    """Rows after which it is worth looking at the clock."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._started = self._shown = time.monotonic()

    def at(self, rows: int) -> None:
        """Print a line when it is time; to be called every ``EVERY`` rows."""
        if time.monotonic() - self._shown >= self.SECONDS:
            self._shown = time.monotonic()
            print(f"  {rows:,} rows {self._what}, {self._speed(rows)}", flush=True)

    def end(self, rows: int) -> str:
        """Return how long it took, in brackets."""
        return f"({time.monotonic() - self._started:.1f} s, {self._speed(rows)})"

    def _speed(self, rows: int) -> str:
        return f"{rows / max(1e-3, time.monotonic() - self._started):,.0f} rows/s"
