"""The instances of one deployment: which one takes a request, when another is started, when one ends.

[read] Amazon SageMaker developer guide, "Deploy models with Amazon SageMaker Serverless Inference": an
instance takes one request at a time, instances are started as requests come and end when they are idle, and
more requests at a time than MaxConcurrency are throttled.

On AWS each of these requests gets an instance of its own. This machine runs ``cap`` of them; further requests
wait for one, first come, first served, and count against MaxConcurrency as they would there.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar


class Throttled(Exception):
    """As many requests as MaxConcurrency allows are being served."""


class Ended(Exception):
    """The pool was ended while a request waited."""


class Worker(Protocol):
    """One instance."""

    def alive(self) -> bool:
        """Tell whether it can take a request."""

    def end(self) -> None:
        """End it now; a second call does nothing."""


W = TypeVar("W", bound=Worker)


@dataclass
class Lease(Generic[W]):
    """An instance that serves one request.

    Attributes:
        setup: seconds that its start took for this request; 0 for one that was there.
        keep: set it to False to have it ended afterwards.
    """

    worker: W
    setup: float
    keep: bool = True


class Pool(Generic[W]):
    """See above. ``reserve`` and then ``lease``, once for each request.

    Args:
        start: starts an instance; called without a lock, several times at a time.
        limit: MaxConcurrency.
        cap: the most instances.
        minimum: so many are kept started.
    """

    def __init__(self, start: Callable[[], W], *, limit: int, cap: int, minimum: int = 0) -> None:
        self._start = start
        self._limit, self._cap, self._minimum = limit, cap, minimum
        self._changed = threading.Condition()
        self._idle: list[tuple[float, W]] = []
        self._workers: list[W] = []
        self._starting = 0
        self._in_use = 0
        self._waiting: deque[object] = deque()
        self._draining = self._ended = False

    @property
    def workers(self) -> list[W]:
        """Return the instances that are started."""
        with self._changed:
            return list(self._workers)

    def resize(self, *, limit: int, cap: int, minimum: int) -> None:
        """Change the limits; what is being served goes on."""
        with self._changed:
            self._limit, self._cap, self._minimum = limit, cap, minimum
            self._changed.notify_all()

    def reserve(self) -> int:
        """Count a request in and return how many there are with it.

        Raises:
            Throttled: there are as many as the limit.
        """
        with self._changed:
            if self._in_use >= self._limit:
                raise Throttled
            self._in_use += 1
            return self._in_use

    @contextmanager
    def lease(self) -> Iterator[Lease[W]]:
        """Give an instance to a request that was counted in, and count it out at the end.

        Raises:
            Ended: the pool was ended.
            Exception: what ``start`` raises.
        """
        lease: Lease[W] | None = None
        try:
            lease = self._take()
            yield lease
        except BaseException:
            if lease:
                lease.keep = False
            raise
        finally:
            self._give_back(lease)

    def fill(self, count: int | None = None) -> None:
        """Start instances until there are ``count``, or the minimum.

        Raises:
            Exception: what ``start`` raises.
        """
        while True:
            with self._changed:
                wanted = self._minimum if count is None else count
                if self._ended or self._draining or len(self._workers) + self._starting >= wanted:
                    return
                self._starting += 1
            worker = self._started()
            with self._changed:
                self._idle.append((time.monotonic(), worker))
                self._changed.notify_all()

    def rest(self, idle: float) -> None:
        """End instances that have had no request for ``idle`` seconds, down to the minimum, and dead ones."""
        now = time.monotonic()
        with self._changed:
            over = [worker for _, worker in self._idle if not worker.alive()]
            living = len(self._workers) - len(over)
            for since, worker in self._idle:
                if worker not in over and now - since >= idle and living > self._minimum:
                    over.append(worker)
                    living -= 1
            self._forget(over)
        for worker in over:
            worker.end()

    def drain(self) -> None:
        """Wait until every request that was counted in has been answered, then end all instances."""
        with self._changed:
            self._draining = True
            self._changed.wait_for(lambda: self._ended or not self._in_use)
        self.end()

    def end(self) -> None:
        """End all instances now."""
        with self._changed:
            self._ended = True
            workers = list(self._workers)
            self._forget(workers)
            self._changed.notify_all()
        for worker in workers:
            worker.end()

    def _take(self) -> Lease[W]:
        ticket = object()
        with self._changed:
            self._waiting.append(ticket)
            try:
                self._changed.wait_for(lambda: self._ended or self._is_next(ticket))
                if self._ended:
                    raise Ended
                if self._idle:
                    return Lease(self._idle.pop()[1], 0.0)
                self._starting += 1
            finally:
                self._waiting.remove(ticket)
                self._changed.notify_all()
        began = time.monotonic()
        return Lease(self._started(), time.monotonic() - began)

    def _is_next(self, ticket: object) -> bool:
        if self._waiting[0] is not ticket:
            return False
        dead = [worker for _, worker in self._idle if not worker.alive()]
        self._forget(dead)
        return bool(self._idle) or len(self._workers) + self._starting < self._cap

    def _started(self) -> W:
        """Start an instance that ``_starting`` counts already."""
        worker: W | None = None
        try:
            worker = self._start()
        finally:
            with self._changed:
                self._starting -= 1
                ended = self._ended
                if worker is not None and not ended:
                    self._workers.append(worker)
                self._changed.notify_all()
        if ended:
            worker.end()
            raise Ended
        return worker

    def _give_back(self, lease: Lease[W] | None) -> None:
        with self._changed:
            self._in_use -= 1
            keep = lease is not None and lease.keep and not self._ended and lease.worker.alive()
            if lease is not None and keep:
                self._idle.append((time.monotonic(), lease.worker))
            elif lease is not None:
                self._forget([lease.worker])
            self._changed.notify_all()
        if lease is not None and not keep:
            lease.worker.end()

    def _forget(self, workers: list[W]) -> None:
        self._workers = [each for each in self._workers if each not in workers]
        self._idle = [each for each in self._idle if each[1] not in workers]
