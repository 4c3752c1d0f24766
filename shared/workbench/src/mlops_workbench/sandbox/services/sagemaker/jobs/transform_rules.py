"""What CreateTransformJob refuses beyond its shapes, and what the sandbox does not have.

[read] API reference of CreateTransformJob, TransformInput, TransformOutput, TransformResources and
DataProcessing; SageMaker developer guide, "Associate Prediction Results with Input Records".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from mlops_workbench.sandbox.services.sagemaker.jobs.transform_filters import FilterError, parse
from mlops_workbench.sandbox.services.sagemaker.jobs.transform_records import (
    CSV,
    FORMATS,
    JSON_LINES,
    media_type,
)

#: MB: the most of MaxPayloadInMB, also times MaxConcurrentTransforms.
MAX_PAYLOAD = 100
#: MB: the default of MaxPayloadInMB.
DEFAULT_PAYLOAD = 6
MAX_INSTANCES = 100


def problems(request: Mapping[str, Any]) -> list[str]:
    """Return what is wrong with a request that fits CreateTransformJob's shape, one line each.

    Values that are stand-ins for ones not known yet (``standin`` attribute) are passed over.
    """
    return [*_sizes(request), *_formats(request)]


def concurrency(request: Mapping[str, Any]) -> int:
    """Return how many requests each instance gets at a time: 1 for a container that does not say."""
    return int(request.get("MaxConcurrentTransforms") or 1)


def payload(request: Mapping[str, Any]) -> int:
    """Return MaxPayloadInMB."""
    given = request.get("MaxPayloadInMB")
    return DEFAULT_PAYLOAD if given is None else int(given)


def _sizes(request: Mapping[str, Any]) -> Iterator[str]:
    given = (request.get("MaxConcurrentTransforms"), request.get("MaxPayloadInMB"))
    if not any(map(_unknown, given)):
        each, together = payload(request), concurrency(request) * payload(request)
        if each > MAX_PAYLOAD:
            yield f"MaxPayloadInMB: expected at most {MAX_PAYLOAD}, got {each}"
        elif together > MAX_PAYLOAD:
            yield (
                f"MaxConcurrentTransforms * MaxPayloadInMB: expected at most {MAX_PAYLOAD}, "
                f"got {concurrency(request)} * {each} = {together}"
            )
    count = request["TransformResources"].get("InstanceCount")
    if count is not None and not _unknown(count) and count > MAX_INSTANCES:
        yield f"TransformResources.InstanceCount: expected at most {MAX_INSTANCES}, got {count}"


def _formats(request: Mapping[str, Any]) -> Iterator[str]:
    taken, answered = request["TransformInput"], request["TransformOutput"]
    split, assemble = taken.get("SplitType") or "None", answered.get("AssembleWith") or "None"
    if split in ("RecordIO", "TFRecord"):
        yield f"TransformInput.SplitType: expected None or Line in the sandbox, got {split}"
    given = request.get("DataProcessing") or {}
    filters = {key: given.get(key) or "$" for key in ("InputFilter", "OutputFilter")}
    join = given.get("JoinSource") or "None"
    if join == "None" and set(filters.values()) == {"$"}:
        return
    kinds = {
        "TransformInput.ContentType": taken.get("ContentType") or "",
        "TransformOutput.Accept": answered.get("Accept") or "",
    }
    for key, kind in kinds.items():
        if not _unknown(kind) and media_type(kind) not in FORMATS:
            yield f"{key}: DataProcessing expects one of {', '.join(FORMATS)}, got {kind or 'nothing'}"
            return
    if any(map(_unknown, (*kinds.values(), split, assemble))):
        return
    content, accept = (media_type(kind) for kind in kinds.values())
    if (content == CSV) != (accept == CSV):
        yield f"TransformOutput.Accept: DataProcessing of {content} expects the like, got {accept}"
    lines = (split, assemble) == ("Line", "Line")
    if not lines and (JSON_LINES in (content, accept) or content == CSV or split == "Line"):
        yield (
            f"DataProcessing of {content} expects TransformInput.SplitType Line and "
            f"TransformOutput.AssembleWith Line, got {split} and {assemble}"
        )
    yield from _expressions(filters, content)


def _expressions(filters: Mapping[str, str], content: str) -> Iterator[str]:
    for key, text in filters.items():
        if _unknown(text):
            continue
        try:
            found = parse(text)
        except FilterError as error:
            yield f"DataProcessing.{key}: {error}"
            continue
        if content == CSV and not found.indexed:
            only = "CSV takes positions only, such as $[0] or $[1:]"
            yield f"DataProcessing.{key}: Invalid JsonPath: {text}: {only}"


def _unknown(value: Any) -> bool:
    return bool(getattr(value, "standin", False))
