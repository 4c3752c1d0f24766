"""Retry policies and durations."""

from __future__ import annotations

from datetime import timedelta

import pytest

from mlops_workbench.sandbox.services.sagemaker.pipelines.model import RetryPolicy
from mlops_workbench.sandbox.services.sagemaker.pipelines.policies import (
    parse_duration,
    read_retries,
    retry_delay,
)

INTERNAL = "SageMaker.JOB_INTERNAL_ERROR"


@pytest.mark.parametrize(
    ("text", "duration"),
    [
        ("P30D", timedelta(days=30)),
        ("p30d", timedelta(days=30)),
        ("30dT5h", timedelta(days=30, hours=5)),
        ("P4DT12H", timedelta(days=4, hours=12)),
        ("T12H", timedelta(hours=12)),
        ("PT1M", timedelta(minutes=1)),
        ("P1M", timedelta(days=30)),
        ("P1Y2W", timedelta(days=379)),
        ("PT0S", timedelta(0)),
    ],
)
def test_durations(text: str, duration: timedelta) -> None:
    """As ISO 8601 has them, and as AWS's own examples do."""
    assert parse_duration(text) == duration


@pytest.mark.parametrize("text", ["", "P", "T", "PT", "30", "1 day", "P-1D", "P1H"])
def test_other_texts_are_no_durations(text: str) -> None:
    """An empty duration, or one with the units in the wrong place."""
    with pytest.raises(ValueError, match="ISO 8601"):
        parse_duration(text)


def delays(policy: RetryPolicy, elapsed: float = 0.0, kind: str = INTERNAL) -> list[float | None]:
    """Return the delays of six failures in a row."""
    used: dict[RetryPolicy, int] = {}
    return [retry_delay([policy], kind, used, elapsed) for _ in range(6)]


def test_intervals_grow_until_the_attempts_are_used_up() -> None:
    """MaxAttempts counts the retries, not the first run."""
    policy = RetryPolicy((INTERNAL,), interval=2, backoff=3, max_attempts=3)
    assert delays(policy) == [2, 6, 18, None, None, None]


def test_no_retry_starts_after_the_limit_in_minutes() -> None:
    """Measured from the start of the first attempt to the start of the next."""
    policy = RetryPolicy((INTERNAL,), interval=30, backoff=1, expire_after=1)
    assert delays(policy, elapsed=29)[0] == 30
    assert delays(policy, elapsed=31)[0] is None


def test_only_the_named_exceptions_are_retried() -> None:
    """The first policy that names the exception decides."""
    assert delays(RetryPolicy((INTERNAL,), max_attempts=5), kind="SageMaker.CAPACITY_ERROR")[0] is None
    assert delays(RetryPolicy((INTERNAL,), max_attempts=5), kind="")[0] is None
    two = [RetryPolicy((INTERNAL,), max_attempts=0), RetryPolicy((INTERNAL,), max_attempts=5)]
    assert retry_delay(two, INTERNAL, {}, 0) is None


def test_a_policy_without_a_limit_has_the_services_default() -> None:
    """Five retries."""
    policies, problems = read_retries([{"ExceptionType": [INTERNAL]}])
    assert not problems
    assert policies == (RetryPolicy((INTERNAL,), 1, 2, 5, None),)
