"""Calls that may never answer: begun at once, side by side, and waited for only so long."""

from __future__ import annotations

import threading
import time
from typing import Callable, Generic, TypeVar

T = TypeVar("T")

#: nobody is kept waiting longer for something that cannot be reached
SECONDS = 4.5


class Later(Generic[T]):
    """A call in a thread. The thread is left behind when it is late, and does not keep the process alive."""

    def __init__(self, call: Callable[[], T]) -> None:
        self._began = time.monotonic()
        self._answer: list[T] = []
        self._error: list[Exception] = []
        self._thread = threading.Thread(target=self._work, args=(call,), daemon=True)
        self._thread.start()

    def _work(self, call: Callable[[], T]) -> None:
        try:
            self._answer.append(call())
        except Exception as error:  # whatever it is, it is told in the thread that asks
            self._error.append(error)

    def result(self, seconds: float = SECONDS) -> T:
        """The answer.

        Args:
            seconds: how long after its beginning the call may take.

        Raises:
            TimeoutError: there is none yet.
        """
        self._thread.join(max(0.0, self._began + seconds - time.monotonic()))
        if self._answer:
            return self._answer[0]
        if self._error:
            raise self._error[0]
        raise TimeoutError(f"no answer within {seconds:g} s")


def within(call: Callable[[], T], seconds: float = SECONDS) -> T:
    """The call's answer.

    Raises:
        TimeoutError: it takes longer.
    """
    return Later(call).result(seconds)
