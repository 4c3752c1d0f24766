"""A step's policies: ``RetryPolicies`` with the arithmetic of retries, and ``CacheConfig`` with its cache.

The limits are those of sagemaker 3.27.0 (``mlops/workflow/retry.py``) and of AWS's page "Retry Policy for
Pipeline Steps"; durations follow "Turn on step caching", which also has them without the P, as in
"30dT5h".

A step with the same arguments as an earlier, successful run takes that run's result. What counts as the
same is the service's rule (AWS, "Default cache key attributes by pipeline step type"): where a step reads
from and what it runs, not where it writes to. So an output path with the execution's id does not spoil a
hit, and the properties after a hit are those of the earlier run.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from typing import Any

from mlops_workbench.sandbox.errors import suggest
from mlops_workbench.sandbox.services.sagemaker.pipelines.journal import ExecutionRecord, StepRecord
from mlops_workbench.sandbox.services.sagemaker.pipelines.model import CacheConfig, RetryPolicy

EXCEPTION_TYPES = (
    "Step.SERVICE_FAULT",
    "Step.THROTTLING",
    "SageMaker.JOB_INTERNAL_ERROR",
    "SageMaker.CAPACITY_ERROR",
    "SageMaker.RESOURCE_LIMIT",
)
MAX_ATTEMPTS = 20
MAX_EXPIRE_MINUTES = 14_400
MAX_INTERVAL_SECONDS = 43_200
DEFAULT_ATTEMPTS = 5

_DURATION = re.compile(
    r"P?(?:(?P<years>\d+)Y)?(?:(?P<months>\d+)M)?(?:(?P<weeks>\d+)W)?(?:(?P<days>\d+)D)?"
    r"(?:T(?:(?P<hours>\d+)H)?(?:(?P<minutes>\d+)M)?(?:(?P<seconds>\d+)S)?)?",
    re.IGNORECASE,
)
#: The arguments that make up the key of each type that is cached.
_NAMED: Mapping[str, tuple[str, ...]] = {
    "Processing": ("AppSpecification", "Environment", "ProcessingInputs"),
    "Training": (
        "AlgorithmSpecification",
        "CheckpointConfig",
        "DebugHookConfig",
        "DebugRuleConfigurations",
        "Environment",
        "HyperParameters",
        "InputDataConfig",
    ),
}
#: Types whose key is all arguments but these.
_ALL_BUT: Mapping[str, tuple[str, ...]] = {"Transform": ("TransformOutput",), "Lambda": ()}


def parse_duration(text: str) -> timedelta:
    """Return an ISO 8601 duration; a month counts 30 days, a year 365.

    Raises:
        ValueError: it is not one, e.g. ``P30D``, ``T12H`` or ``P4DT12H``.
    """
    match = _DURATION.fullmatch(text.strip())
    parts = {name: int(value) for name, value in match.groupdict(default="0").items()} if match else {}
    if not match or not any(match.groupdict().values()):
        raise ValueError(f'expected an ISO 8601 duration such as "P30D" or "PT12H", got {text!r}')
    days = parts["years"] * 365 + parts["months"] * 30 + parts["weeks"] * 7 + parts["days"]
    return timedelta(days=days, hours=parts["hours"], minutes=parts["minutes"], seconds=parts["seconds"])


def read_cache(value: Any) -> tuple[CacheConfig, list[tuple[str, str]]]:
    """Read a step's CacheConfig.

    Returns:
        The configuration (disabled if it cannot be read) and the problems as (key, message).
    """
    if not isinstance(value, Mapping):
        return CacheConfig(), [("CacheConfig", f"expected an object, got {value!r}")]
    problems = [
        (f"CacheConfig.{key}", f"unknown key{suggest(key, ('Enabled', 'ExpireAfter'))}")
        for key in value
        if key not in ("Enabled", "ExpireAfter")
    ]
    enabled, expire_after, age = value.get("Enabled", False), value.get("ExpireAfter"), None
    if not isinstance(enabled, bool):
        problems.append(("CacheConfig.Enabled", f"expected true or false, got {enabled!r}"))
        enabled = False
    if expire_after is not None:
        try:
            age = parse_duration(str(expire_after))
        except ValueError as error:
            problems.append(("CacheConfig.ExpireAfter", str(error)))
    return CacheConfig(enabled, age), problems


def read_retries(value: Any) -> tuple[tuple[RetryPolicy, ...], list[tuple[str, str]]]:
    """Read a step's RetryPolicies; returns them with the problems as (key, message)."""
    if not isinstance(value, list):
        return (), [("RetryPolicies", f"expected a list, got {value!r}")]
    policies, problems = [], []
    for number, entry in enumerate(value):
        where = f"RetryPolicies[{number}]"
        if not isinstance(entry, Mapping):
            problems.append((where, f"expected an object, got {entry!r}"))
            continue
        found = list(_policy_problems(entry))
        problems += [(f"{where}.{key}" if key else where, message) for key, message in found]
        if not found:
            policies.append(_policy(entry))
    return tuple(policies), problems


def _policy(entry: Mapping[str, Any]) -> RetryPolicy:
    limited = "MaxAttempts" in entry or "ExpireAfterMin" in entry
    return RetryPolicy(
        tuple(entry["ExceptionType"]),
        interval=float(entry.get("IntervalSeconds", 1)),
        backoff=float(entry.get("BackoffRate", 2.0)),
        max_attempts=entry.get("MaxAttempts") if limited else DEFAULT_ATTEMPTS,
        expire_after=entry.get("ExpireAfterMin"),
    )


def _policy_problems(entry: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    known = ("ExceptionType", "IntervalSeconds", "BackoffRate", "MaxAttempts", "ExpireAfterMin")
    for key in entry:
        if key not in known:
            yield key, f"unknown key{suggest(key, known)}"
    types = entry.get("ExceptionType")
    if not isinstance(types, list) or not types:
        yield "ExceptionType", f"expected a list of exception types, got {types!r}"
    else:
        for name in types:
            if name not in EXCEPTION_TYPES:
                yield "ExceptionType", f"unknown exception type {name!r}{suggest(str(name), EXCEPTION_TYPES)}"
    limits = {
        "IntervalSeconds": (0, MAX_INTERVAL_SECONDS),
        "BackoffRate": (0, float("inf")),
        "MaxAttempts": (0, MAX_ATTEMPTS),
        "ExpireAfterMin": (0, MAX_EXPIRE_MINUTES),
    }
    for key, (low, high) in limits.items():
        number = entry.get(key)
        if number is None:
            continue
        if isinstance(number, bool) or not isinstance(number, int | float) or not low <= number <= high:
            yield key, f"expected a number from {low} to {high}, got {number!r}"
    if entry.get("MaxAttempts") is not None and entry.get("ExpireAfterMin") is not None:
        yield "", "expected one of MaxAttempts and ExpireAfterMin, got both"


def retry_delay(
    policies: Iterable[RetryPolicy], kind: str, used: dict[RetryPolicy, int], elapsed: float
) -> float | None:
    """Return the seconds to wait before the next attempt, or None if there is to be none.

    Args:
        policies: of the step; the first that names ``kind`` decides.
        kind: the failure's exception type.
        used: retries that each policy has granted so far; updated here.
        elapsed: seconds since the step's first attempt began.
    """
    for policy in policies:
        if kind not in policy.exception_types:
            continue
        granted = used.get(policy, 0)
        if policy.max_attempts is not None and granted >= policy.max_attempts:
            return None
        delay = policy.interval * policy.backoff**granted
        if policy.expire_after is not None and elapsed + delay > policy.expire_after * 60:
            return None
        used[policy] = granted + 1
        return delay
    return None


def cache_key(step_type: str, arguments: Mapping[str, Any]) -> str:
    """Return the key of a step's resolved arguments, or "" if its type is never cached."""
    if step_type in _NAMED:
        chosen = {key: arguments[key] for key in _NAMED[step_type] if key in arguments}
    elif step_type in _ALL_BUT:
        chosen = {key: value for key, value in arguments.items() if key not in _ALL_BUT[step_type]}
    else:
        return ""
    text = json.dumps([step_type, chosen], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def find_hit(
    executions: Iterable[ExecutionRecord],
    step: str,
    key: str,
    *,
    now: float,
    expire_after: timedelta | None,
    exists: Callable[[str], bool],
) -> tuple[ExecutionRecord, StepRecord] | None:
    """Return the most recent run of a step whose result can be taken, or None.

    Args:
        executions: of the same pipeline.
        step: its name.
        key: of its resolved arguments.
        now: seconds since the epoch.
        expire_after: the oldest age of a result; None means any.
        exists: tells whether there are objects under an S3 URI; a result without its outputs is no result.
    """
    oldest = now - expire_after.total_seconds() if expire_after is not None else 0.0
    candidates = [
        (execution, record)
        for execution in executions
        if (record := execution.steps.get(step)) is not None
        and record.status == "Succeeded"
        and record.cache_key == key
        # A hit's record repeats a result; its age and its source are those of the run itself.
        and not record.cache_source
        and (record.end or 0.0) >= oldest
    ]
    for execution, record in sorted(candidates, key=lambda pair: pair[1].end or 0.0, reverse=True):
        if all(exists(uri) for uri in record.outputs):
            return execution, record
    return None


def output_uris(properties: Mapping[str, Any]) -> list[str]:
    """Return the S3 URIs that a finished job says it wrote to."""
    outputs = (properties.get("ProcessingOutputConfig") or {}).get("Outputs") or []
    uris = [(output.get("S3Output") or {}).get("S3Uri") for output in outputs]
    uris.append((properties.get("ModelArtifacts") or {}).get("S3ModelArtifacts"))
    uris.append((properties.get("TransformOutput") or {}).get("S3OutputPath"))
    return [uri for uri in uris if uri]
