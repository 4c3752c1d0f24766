"""Retry policies, durations, and what counts as the same run of a step."""

from __future__ import annotations

from datetime import timedelta

import pytest

from mlops_workbench.sandbox.services.sagemaker.pipelines.journal import ExecutionRecord, StepRecord
from mlops_workbench.sandbox.services.sagemaker.pipelines.model import RetryPolicy
from mlops_workbench.sandbox.services.sagemaker.pipelines.policies import (
    cache_key,
    find_hit,
    output_uris,
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


def execution(id_: str, **step: object) -> ExecutionRecord:
    """Return a finished execution with one successful step, A."""
    record = ExecutionRecord(id_, f"arn:{id_}", "p", "arn:p", "Succeeded", 0, 0, "{}")
    fields = {"status": "Succeeded", "end": 100.0, "cache_key": "k", **step}
    record.steps["A"] = StepRecord("A", "Processing", **fields)  # type: ignore[arg-type]
    return record


def hit(*executions: ExecutionRecord, key: str = "k", now: float = 200, age: float | None = None) -> str:
    """Return the id of the execution whose result is taken, or ""."""
    expire_after = timedelta(seconds=age) if age is not None else None
    found = find_hit(
        executions, "A", key, now=now, expire_after=expire_after, exists=lambda uri: uri != "gone"
    )
    return found[0].id if found else ""


def test_the_most_recent_successful_run_is_taken() -> None:
    """Whatever the order in which they are looked at."""
    assert hit(execution("new", end=150.0), execution("old", end=100.0)) == "new"
    assert hit(execution("bad", end=150.0, status="Failed"), execution("good")) == "good"


def test_another_key_another_step_and_an_old_run_miss() -> None:
    """Age is counted from the end of the run."""
    assert hit(execution("e"), key="other") == ""
    assert hit(execution("e"), age=99) == ""
    assert hit(execution("e"), age=101) == "e"


def test_a_hit_is_not_a_run() -> None:
    """The source of a second hit is the run itself, with its age."""
    assert hit(execution("hit", end=199.0, cache_source="arn:run"), execution("run", end=10.0)) == "run"


def test_a_result_whose_outputs_are_gone_is_no_result() -> None:
    """An older one may still be whole."""
    assert hit(execution("new", end=150.0, outputs=["gone"]), execution("old", outputs=["s3://b/k"])) == "old"


def test_where_a_step_writes_to_does_not_count() -> None:
    """The service's list of attributes for Processing and Training; all but the output for Transform."""
    processing = {"AppSpecification": {"ImageUri": "i"}, "ProcessingInputs": [], "Environment": {"A": "1"}}
    key = cache_key("Processing", processing)
    assert key == cache_key(
        "Processing", {**processing, "ProcessingOutputConfig": {"Outputs": [1]}, "RoleArn": "r"}
    )
    assert key != cache_key("Processing", {**processing, "Environment": {"A": "2"}})
    training = {"HyperParameters": {"epochs": "1"}, "InputDataConfig": []}
    assert cache_key("Training", training) == cache_key("Training", {**training, "ResourceConfig": {}})
    assert cache_key("Training", training) != cache_key("Training", {**training, "CheckpointConfig": {}})
    assert cache_key("Transform", {"ModelName": "m"}) == cache_key(
        "Transform", {"ModelName": "m", "TransformOutput": 1}
    )
    assert cache_key("Lambda", {"a": 1}) != cache_key("Lambda", {"a": 2})
    assert cache_key("RegisterModel", {}) == ""


def test_outputs_are_found_in_a_jobs_answer() -> None:
    """Of every kind of job."""
    outputs = [{"S3Output": {"S3Uri": "s3://b/a"}}, {"FeatureStoreOutput": {}}]
    assert output_uris({"ProcessingOutputConfig": {"Outputs": outputs}}) == ["s3://b/a"]
    assert output_uris({"ModelArtifacts": {"S3ModelArtifacts": "s3://b/m"}}) == ["s3://b/m"]
    assert output_uris({"TransformOutput": {"S3OutputPath": "s3://b/t"}}) == ["s3://b/t"]
    assert output_uris({}) == []
