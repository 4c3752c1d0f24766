"""Lets requests through side by side, and a snapshot only while there are none."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Gate:
    """Many ``changing()`` at a time, or one ``still()``.

    Someone who waits for stillness does not keep new changes out. A request may cause another one before it
    can end (a Lambda function that calls S3), so keeping that one out would be a deadlock.
    """

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._changing = 0
        self._waiting = 0
        self._still = False

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Hold the gate for a request, or for a change made outside of one."""
        with self._condition:
            self._waiting += 1
            self._condition.wait_for(lambda: not self._still)
            self._waiting -= 1
            self._changing += 1
        try:
            yield
        finally:
            with self._condition:
                self._changing -= 1
                self._condition.notify_all()

    @contextmanager
    def still(self) -> Iterator[None]:
        """Hold the gate while nothing changes."""
        with self._condition:
            # Who has been kept waiting by one stillness goes before the next.
            self._condition.wait_for(lambda: not (self._still or self._changing or self._waiting))
            self._still = True
        try:
            yield
        finally:
            with self._condition:
                self._still = False
                self._condition.notify_all()


#: moto's state is global to the process, and so is its gate.
STATE = Gate()
