"""Threads for what goes on after a request has been answered: deliveries, functions, readers of queues."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

logger = logging.getLogger("mlops_workbench.sandbox.work")

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


class Work:
    """The threads of an open sandbox.

    Attributes:
        deliveries: calls on loopback, which this process itself answers.
        functions: each is a process.
        stopping: set once the sandbox closes: whatever waits, stops waiting.
    """

    def __init__(self) -> None:
        self.deliveries = Lane(8)
        self.functions = Lane(8)
        self.stopping = threading.Event()
        self._lock = threading.Lock()
        self._threads: dict[threading.Thread, bool] = {}

    def begin(self, name: str, job: Job, *, lasting: bool = False) -> None:
        """Run a job in a thread; once the sandbox is closing, do nothing.

        Args:
            name: of the thread.
            job: what to run; what it raises is logged.
            lasting: it runs as long as the sandbox does, so ``wait_idle`` does not wait for it.
        """

        def run() -> None:
            try:
                self._run(name, job)
            finally:
                with self._lock:
                    self._threads.pop(threading.current_thread(), None)

        with self._lock:
            self._start(name, run, lasting)

    def enqueue(self, lane: Lane, name: str, job: Job) -> None:
        """Run a job in a thread of a lane when its turn has come; once the sandbox is closing, do nothing."""

        def run() -> None:
            while True:
                with self._lock:
                    if self.stopping.is_set() or not lane.waiting:
                        lane.threads -= 1
                        self._threads.pop(threading.current_thread(), None)
                        return
                    here, next_job = lane.waiting.popleft()
                self._run(here, next_job)

        with self._lock:
            if self.stopping.is_set():
                return
            lane.waiting.append((name, job))
            if lane.threads < lane.width:
                lane.threads += 1
                self._start(name, run, False)

    def wait_idle(self, timeout: float = 30.0) -> bool:
        """Wait until nothing is being delivered, functions called by events included; returns whether so.

        What waits in a queue to be seen again, or for its next attempt, counts as idle only once it has run.
        """
        end = time.monotonic() + timeout
        while True:
            with self._lock:
                busy = [
                    thread
                    for thread, lasting in self._threads.items()
                    if not lasting and thread is not threading.current_thread()
                ]
            if not busy:
                return True
            if time.monotonic() >= end:
                return False
            busy[0].join(max(0.0, min(0.2, end - time.monotonic())))

    def close(self) -> None:
        """Stop every job and wait for its end; what waits for its turn is dropped, and logged."""
        with self._lock:
            self.stopping.set()
            threads = list(self._threads)
            for lane in (self.deliveries, self.functions):
                if lane.waiting:
                    logger.warning("the sandbox closes: %d deliveries are not made", len(lane.waiting))
                lane.waiting.clear()
        end = time.monotonic() + _GRACE
        for thread in threads:
            if thread is not threading.current_thread():
                thread.join(max(0.0, end - time.monotonic()))

    def _run(self, name: str, job: Job) -> None:
        try:
            job()
        except Exception:
            # While the sandbox closes, calls fail that would have succeeded.
            logger.log(logging.DEBUG if self.stopping.is_set() else logging.ERROR, name, exc_info=True)

    def _start(self, name: str, run: Job, lasting: bool) -> None:
        """Start a thread, within the lock: one that has not started cannot be joined."""
        if not self.stopping.is_set():
            thread = threading.Thread(target=run, name=name, daemon=True)
            self._threads[thread] = lasting
            thread.start()
