"""Threads for what goes on after a request has been answered: deliveries, functions, readers of queues."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

logger = logging.getLogger("mlops_workbench.sandbox.events")

#: Seconds; a delivery is a call on loopback, and a stopped function has two seconds to end.
_GRACE = 10.0

Job = Callable[[], None]


@dataclass
class Lane:
    """Work of one kind, of which so much goes on at a time and the rest waits, in order.

    A thousand objects that arrive at once are a thousand deliveries, and may be as many functions.
    """

    width: int
    waiting: deque[tuple[str, Job]] = field(default_factory=deque)
    threads: int = 0


#: Calls on loopback, which this process itself answers.
DELIVERIES = Lane(8)
#: Each is a process.
FUNCTIONS = Lane(8)

_lock = threading.Lock()
_threads: dict[threading.Thread, bool] = {}
#: Set while no sandbox is open: whatever waits, stops waiting.
stopping = threading.Event()
stopping.set()


def open_() -> None:
    """Let work begin."""
    stopping.clear()


def begin(name: str, job: Job, *, lasting: bool = False) -> None:
    """Run a job in a thread; once the sandbox is closing, do nothing.

    Args:
        name: of the thread.
        job: what to run; what it raises is logged.
        lasting: it runs as long as the sandbox does, so ``wait_idle`` does not wait for it.
    """

    def run() -> None:
        try:
            _run(name, job)
        finally:
            with _lock:
                _threads.pop(threading.current_thread(), None)

    with _lock:
        _start(name, run, lasting)


def enqueue(lane: Lane, name: str, job: Job) -> None:
    """Run a job in a thread of a lane, when its turn has come; once the sandbox is closing, do nothing."""

    def run() -> None:
        while True:
            with _lock:
                if stopping.is_set() or not lane.waiting:
                    lane.threads -= 1
                    _threads.pop(threading.current_thread(), None)
                    return
                here, next_job = lane.waiting.popleft()
            _run(here, next_job)

    with _lock:
        if stopping.is_set():
            return
        lane.waiting.append((name, job))
        if lane.threads < lane.width:
            lane.threads += 1
            _start(name, run, False)


def _run(name: str, job: Job) -> None:
    try:
        job()
    except Exception:
        # While the sandbox closes, calls fail that would have succeeded.
        logger.log(logging.DEBUG if stopping.is_set() else logging.ERROR, name, exc_info=True)


def _start(name: str, run: Job, lasting: bool) -> None:
    """Start a thread, within the lock: one that has not started cannot be joined."""
    if not stopping.is_set():
        thread = threading.Thread(target=run, name=name, daemon=True)
        _threads[thread] = lasting
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
    """Stop every job and wait for its end; what waits for its turn is dropped, and logged."""
    with _lock:
        stopping.set()
        threads = list(_threads)
        for lane in (DELIVERIES, FUNCTIONS):
            if lane.waiting:
                logger.warning("the sandbox closes: %d deliveries are not made", len(lane.waiting))
            lane.waiting.clear()
    end = time.monotonic() + _GRACE
    for thread in threads:
        if thread is not threading.current_thread():
            thread.join(max(0.0, end - time.monotonic()))
