"""Which instance takes a request, when one starts and when one ends: with instances that cost nothing."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from mlops_workbench.sandbox.services.sagemaker.endpoints.pool import Ended, Pool, Throttled
from tests.waiting import FOREVER, wait_for


@dataclass(eq=False)
class Fake:
    """An instance."""

    number: int
    living: bool = True
    ended: int = 0

    def alive(self) -> bool:
        return self.living

    def end(self) -> None:
        self.living = False
        self.ended += 1


@dataclass
class Starter:
    """Starts instances; each waits until it may."""

    may: threading.Event = field(default_factory=threading.Event)
    made: list[Fake] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self) -> Fake:
        assert self.may.wait(10)
        with self.lock:
            self.made.append(Fake(len(self.made)))
            return self.made[-1]


@pytest.fixture
def starter() -> Starter:
    made = Starter()
    made.may.set()
    return made


@dataclass
class Request:
    """A request in a thread of its own, served until it is told to end."""

    pool: Pool[Fake]
    served_by: list[Fake] = field(default_factory=list)
    end: threading.Event = field(default_factory=threading.Event)
    thread: threading.Thread | None = None

    def begin(self) -> Request:
        self.pool.reserve()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()
        return self

    def _run(self) -> None:
        with self.pool.lease() as lease:
            self.served_by.append(lease.worker)
            self.end.wait(FOREVER)

    def finish(self) -> None:
        self.end.set()
        assert self.thread is not None
        self.thread.join(FOREVER)
        assert not self.thread.is_alive()


def ask(pool: Pool[Fake]) -> Fake:
    pool.reserve()
    with pool.lease() as lease:
        return lease.worker


def held(condition: Callable[[], bool]) -> bool:
    """Whether something stays as it is for a moment."""
    time.sleep(0.1)
    return condition()


def test_the_first_request_starts_an_instance_and_the_next_one_uses_it(starter: Starter) -> None:
    pool = Pool(starter, limit=5, cap=2)
    assert starter.made == []
    pool.reserve()
    with pool.lease() as lease:
        assert lease.setup > 0
    pool.reserve()
    with pool.lease() as again:
        assert (again.worker, again.setup) == (lease.worker, 0.0)


def test_requests_side_by_side_get_instances_of_their_own_up_to_the_cap_and_then_wait_in_turn(
    starter: Starter,
) -> None:
    pool = Pool(starter, limit=5, cap=2)
    first, second = Request(pool).begin(), Request(pool).begin()
    assert wait_for(lambda: first.served_by and second.served_by)
    assert first.served_by != second.served_by
    third = Request(pool).begin()
    assert held(lambda: not third.served_by)
    fourth = Request(pool).begin()
    assert held(lambda: not fourth.served_by)
    first.finish()
    assert wait_for(lambda: third.served_by) == first.served_by
    assert held(lambda: not fourth.served_by)
    for request in (second, third, fourth):
        request.finish()
    assert len(starter.made) == 2


def test_one_request_more_than_the_limit_is_throttled_though_others_only_wait(starter: Starter) -> None:
    pool = Pool(starter, limit=3, cap=1)
    requests = [Request(pool).begin() for _ in range(3)]
    with pytest.raises(Throttled):
        pool.reserve()
    for request in requests:
        request.end.set()
    for request in requests:
        request.finish()
    assert ask(pool) in starter.made


def test_an_instance_that_has_died_is_replaced(starter: Starter) -> None:
    pool = Pool(starter, limit=2, cap=1)
    ask(pool).living = False
    assert ask(pool).number == 1
    assert [worker.number for worker in pool.workers] == [1]


def test_an_instance_that_is_not_to_be_kept_is_ended(starter: Starter) -> None:
    pool = Pool(starter, limit=2, cap=1)
    pool.reserve()
    with pool.lease() as lease:
        lease.keep = False
    pool.reserve()
    with pytest.raises(ZeroDivisionError), pool.lease():
        _ = 1 / 0
    assert [worker.ended for worker in starter.made] == [1, 1]
    assert pool.workers == []


def test_a_failed_start_fails_its_request_only() -> None:
    attempts: list[Fake] = []

    def start() -> Fake:
        attempts.append(Fake(len(attempts)))
        if len(attempts) == 1:
            raise OSError("no")
        return attempts[-1]

    pool = Pool(start, limit=1, cap=1)
    with pytest.raises(OSError, match="no"):
        ask(pool)
    assert ask(pool).number == 1


def test_idle_instances_end_down_to_the_minimum(starter: Starter) -> None:
    pool = Pool(starter, limit=5, cap=3, minimum=1)
    pool.fill(3)
    pool.rest(60.0)
    assert len(pool.workers) == 3
    pool.rest(0.0)
    assert len(pool.workers) == 1
    assert sum(worker.ended for worker in starter.made) == 2
    pool.resize(limit=5, cap=3, minimum=2)
    pool.fill()
    assert len(pool.workers) == 2


def test_draining_serves_what_was_counted_in_and_then_ends_everything(starter: Starter) -> None:
    pool = Pool(starter, limit=5, cap=1)
    running, waiting = Request(pool).begin(), Request(pool).begin()
    assert wait_for(lambda: running.served_by or waiting.served_by)
    pool.reserve()  # counted in, and not yet at an instance
    drained = threading.Thread(target=pool.drain, daemon=True)
    drained.start()
    for request in (running, waiting):
        request.end.set()
    assert held(drained.is_alive)
    with pool.lease() as late:
        assert late.worker.ended == 0
    drained.join(FOREVER)
    assert not drained.is_alive()
    assert running.served_by and waiting.served_by
    assert {worker.ended for worker in starter.made} == {1}


def test_ending_wakes_who_waits_and_ends_what_is_still_starting(starter: Starter) -> None:
    starter.may.clear()
    pool = Pool(starter, limit=5, cap=1)
    problems: list[BaseException] = []

    def run() -> None:
        try:
            with pool.lease():
                pass
        except Ended as error:
            problems.append(error)

    for _ in range(2):
        pool.reserve()
    threads = [threading.Thread(target=run, daemon=True) for _ in range(2)]
    for thread in threads:
        thread.start()
    assert held(lambda: not problems)
    pool.end()
    starter.may.set()
    for thread in threads:
        thread.join(FOREVER)
    assert len(problems) == 2
    assert [worker.ended for worker in starter.made] == [1]


def test_many_requests_are_all_served_within_the_cap(starter: Starter) -> None:
    pool = Pool(starter, limit=200, cap=3)
    served = []

    def run() -> None:
        for _ in range(20):
            served.append(ask(pool))

    threads = [threading.Thread(target=run, daemon=True) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(served) == 200
    assert len(starter.made) <= 3
