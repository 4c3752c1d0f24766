"""Threads for what goes on after a request has been answered: deliveries, functions, readers of queues."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

logger = logging.getLogger("mlops_sandbox.events")

#: Seconds; a delivery is a call on loopback, and a stopped function has two seconds to end.
_GRACE = 10.0

_lock = threading.Lock()
_threads: dict[threading.Thread, bool] = {}
#: Set while no sandbox is open: whatever waits, stops waiting.
stopping = threading.Event()
stopping.set()


def open_() -> None:
    """Let work begin."""
    stopping.clear()


def begin(name: str, job: Callable[[], None], *, lasting: bool = False) -> None:
    """Run a job in a thread; once the sandbox is closing, do nothing.

    Args:
        name: of the thread.
        job: what to run; what it raises is logged.
        lasting: it runs as long as the sandbox does, so ``wait_idle`` does not wait for it.
    """

    def run() -> None:
        try:
            job()
        except Exception:
            # While the sandbox closes, calls fail that would have succeeded.
            logger.log(logging.DEBUG if stopping.is_set() else logging.ERROR, name, exc_info=True)
        finally:
            with _lock:
                _threads.pop(threading.current_thread(), None)

    thread = threading.Thread(target=run, name=name, daemon=True)
    with _lock:
        if stopping.is_set():
            return
        _threads[thread] = lasting
        # Within the lock: a thread that has not started cannot be joined.
        thread.start()


def wait_idle(timeout: float = 30.0) -> bool:
    """Wait until nothing is being delivered, functions called by events included; returns whether so.

    What waits in a queue to be seen again, or for its next attempt, counts as idle only once it has run.
    """
    end = time.monotonic() + timeout
    while True:
        with _lock:
            busy = [
                thread
                for thread, lasting in _threads.items()
                if not lasting and thread is not threading.current_thread()
            ]
        if not busy:
            return True
        if time.monotonic() >= end:
            return False
        busy[0].join(max(0.0, min(0.2, end - time.monotonic())))


def close() -> None:
    """Stop every job and wait for its end."""
    with _lock:
        stopping.set()
        threads = list(_threads)
    end = time.monotonic() + _GRACE
    for thread in threads:
        if thread is not threading.current_thread():
            thread.join(max(0.0, end - time.monotonic()))
