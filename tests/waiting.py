"""Waiting in tests for something that happens. No test may fail because the machine is busy.

Nothing is expected within a time: the limit only ends what would go on for ever.
"""

import time
from collections.abc import Callable
from typing import TypeVar

#: Seconds after which what has not happened never will, on the busiest of machines.
FOREVER = 300.0

Found = TypeVar("Found")


def wait_for(found: Callable[[], Found], why: Callable[[], object] = lambda: "it did not happen") -> Found:
    """Ask until the answer is something; returns it.

    Args:
        found: what to ask; anything that is not true means "not yet".
        why: says what there is instead, for the error.

    Raises:
        AssertionError: it never happens.
    """
    began = time.monotonic()
    while not (answer := found()):
        waited = time.monotonic() - began
        assert waited < FOREVER, why()
        # a question costs processor time: seldom, where it takes long, and at most a tenth of the time late
        time.sleep(min(max(0.02, waited / 10), 0.5))
    return answer
