"""Step caching: a step with the same arguments as an earlier, successful run takes that run's result.

What counts as the same is the service's rule (AWS, "Default cache key attributes by pipeline step type"):
where a step reads from and what it runs, not where it writes to. So an output path with the execution's id
does not spoil a hit, and the properties after a hit are those of the earlier run.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from typing import Any

from mlops_workbench.sandbox.pipelines.journal import ExecutionRecord, StepRecord

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
