"""The service's own description of its requests, and what botocore's ParamValidator leaves to it.

That is enums, patterns and upper limits. They are in the same service model, so a bad instance type, role
ARN or tag is found before anything runs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import Any

import botocore.session
from botocore.model import Shape

from mlops_workbench.sandbox.errors import suggest

#: Java's character classes in botocore's patterns, as Python writes them inside [...].
_CLASSES = {r"\p{L}": r"\w", r"\p{N}": r"\d", r"\p{Z}": r"\s", r"\p{Alnum}": "A-Za-z0-9"}


@cache
def _service() -> Any:
    return botocore.session.get_session().get_service_model("sagemaker")


@cache
def request_shape(operation: str) -> Shape:
    """Return the shape of the request of an operation of SageMaker, e.g. of CreateTrainingJob."""
    shape: Shape = _service().operation_model(operation).input_shape
    return shape


@cache
def answer_shape(operation: str) -> Shape:
    """Return the shape of an operation's answer, e.g. of DescribeTrainingJob."""
    shape: Shape = _service().operation_model(operation).output_shape
    return shape


def problems(shape: Any, value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Yield (path, message) for every value that breaks an enum, a pattern or an upper limit.

    Args:
        shape: botocore's shape of the value.
        value: of the right type already; values that are stand-ins (``standin`` attribute) are passed over.
        path: of the value.
    """
    if getattr(value, "standin", False):
        return
    if shape.type_name == "structure" and isinstance(value, dict):
        for key, item in value.items():
            if key in shape.members:
                yield from problems(shape.members[key], item, f"{path}.{key}" if path else key)
    elif shape.type_name == "list" and isinstance(value, list):
        yield from _limit(shape, len(value), "items", path)
        for number, item in enumerate(value):
            yield from problems(shape.member, item, f"{path}[{number}]")
    elif shape.type_name == "map" and isinstance(value, dict):
        yield from _limit(shape, len(value), "entries", path)
        for key, item in value.items():
            yield from problems(shape.key, key, f"{path} (key {key!r})")
            yield from problems(shape.value, item, f"{path}.{key}")
    elif isinstance(value, str):
        yield from _text(shape, value, path)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        largest = shape.metadata.get("max")
        if largest is not None and value > largest:
            yield path, f"expected at most {largest}, got {value}"


def _text(shape: Any, value: str, path: str) -> Iterator[tuple[str, str]]:
    enum, pattern = shape.metadata.get("enum"), shape.metadata.get("pattern")
    if enum:
        if value not in enum:
            yield path, f"{value!r} is not one of SageMaker's values{suggest(value, enum)}"
        return
    yield from _limit(shape, len(value), "characters", path)
    compiled = _compile(pattern) if pattern else None
    if compiled and not compiled.fullmatch(value):
        shown = value if len(value) <= 80 else value[:77] + "…"
        yield path, f"expected the form {pattern}, got {shown!r}"


def _limit(shape: Any, size: int, unit: str, path: str) -> Iterator[tuple[str, str]]:
    longest = shape.metadata.get("max")
    if longest is not None and size > longest:
        yield path, f"expected at most {longest} {unit}, got {size}"


@cache
def _compile(pattern: str) -> re.Pattern[str] | None:
    # Some patterns end in "${1,256}": a slip of the model's authors; the length is in min and max anyway.
    pattern = re.sub(r"\$\{\d+,\d+\}$", "", pattern)
    for java, python in _CLASSES.items():
        pattern = pattern.replace(java, python)
    try:
        return re.compile(pattern, re.DOTALL)
    except re.error:
        return None  # Java knows classes that Python does not; the service will judge
