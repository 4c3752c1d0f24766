"""The JSONPath subset of DataProcessing's InputFilter and OutputFilter.

[read] SageMaker developer guide, "Associate Prediction Results with Input Records", "Supported JSONPath
Operators": ``$``, ``.name``, ``*``, ``['name','other']``, ``[1,3]``, ``[-1]``, ``[start:end]``. The end of a
slice is **included** there (``$[1:4]`` is the second through the fifth column), as in no other JSONPath.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

#: Characters (botocore: JsonPath, the shape of both filters).
MAX_LENGTH = 63

_NAME = re.compile(r"\.([^.\[\]'\"*\s]+)")
_WILDCARD = re.compile(r"\.\*|\.?\[\*\]")
# A dot before a bracket is allowed: the guide writes $.field1.['child1','child2'].
_NAMES = re.compile(r"\.?\[\s*('[^']*'(?:\s*,\s*'[^']*')*)\s*\]")
_INDEXES = re.compile(r"\.?\[\s*(-?\d+(?:\s*,\s*-?\d+)*)\s*\]")
_SLICE = re.compile(r"\.?\[\s*(-?\d+)?\s*:\s*(-?\d+)?\s*\]")
_SEVERAL_RANGES = re.compile(r"\.?\[([\d\s,:-]*:[\d\s,:-]*)\]")
_OPERATORS = "$, .name, *, ['name','other'], [1,3], [-1] and [start:end]"


class FilterError(ValueError):
    """An expression that the service does not take, or that finds nothing in a record; one line."""


@dataclass(frozen=True)
class Names:
    """``.name`` or ``['name','other']``."""

    names: tuple[str, ...]


@dataclass(frozen=True)
class Indexes:
    """``[1]`` or ``[1,3]``; negative ones count from the end."""

    indexes: tuple[int, ...]


@dataclass(frozen=True)
class Slice:
    """``[start:end]``, both included; None is the first or the last element."""

    start: int | None
    end: int | None


@dataclass(frozen=True)
class Wildcard:
    """``*``: every element."""


Step = Names | Indexes | Slice | Wildcard


@dataclass(frozen=True)
class Filter:
    """A parsed expression.

    Attributes:
        text: as given.
        steps: from the root on; none for ``$``.
    """

    text: str
    steps: tuple[Step, ...]

    @property
    def everything(self) -> bool:
        """Tell whether it leaves records as they are."""
        return not self.steps

    @property
    def indexed(self) -> bool:
        """Tell whether it suits rows of CSV: nothing, or one step by position."""
        return not self.steps or (len(self.steps) == 1 and not isinstance(self.steps[0], Names))

    def select(self, value: Any) -> Any:
        """Return what it selects of a record.

        Raises:
            FilterError: the record has no such element.
        """
        return _select(value, self.steps, self.text)

    def row(self, row: list[str]) -> list[str]:
        """Return the columns that it selects of a row; only for an ``indexed`` one.

        Raises:
            FilterError: the row has no such column.
        """
        selected = self.select(row)
        return selected if isinstance(selected, list) else [selected]


def parse(text: str) -> Filter:
    """Read an expression.

    Raises:
        FilterError: it is too long, or not of the subset.
    """
    if len(text) > MAX_LENGTH:
        raise FilterError(f"expected at most {MAX_LENGTH} characters, got {len(text)}")
    if not text.startswith("$"):
        raise FilterError(f"Invalid JsonPath: {text}: expected an expression that begins with $")
    steps: list[Step] = []
    at = 1
    while at < len(text):
        if steps and isinstance(steps[-1], Names) and len(steps[-1].names) > 1:
            raise FilterError(f"Invalid JsonPath: {text}: nothing may follow several names")
        step, at = _step(text, at)
        steps.append(step)
    return Filter(text, tuple(steps))


def _step(text: str, at: int) -> tuple[Step, int]:
    """Return the step that begins at a position, and the position after it."""
    if match := _WILDCARD.match(text, at):
        return Wildcard(), match.end()
    if match := _NAME.match(text, at):
        return Names((match[1],)), match.end()
    if match := _NAMES.match(text, at):
        return Names(tuple(re.findall(r"'([^']*)'", match[1]))), match.end()
    if match := _INDEXES.match(text, at):
        return Indexes(tuple(int(index) for index in match[1].split(","))), match.end()
    if match := _SLICE.match(text, at):
        start, end = (None if bound is None else int(bound) for bound in match.groups())
        return Slice(start, end), match.end()
    if match := _SEVERAL_RANGES.match(text, at):
        # The service's own words, though its API reference has the example $[0,5:].
        only = "only single range filters of format (eg: [1:5]) are supported"
        raise FilterError(f"Invalid JsonPath: {text}: {only}. Format [{match[1]}] is not supported")
    raise FilterError(f"Invalid JsonPath: {text}: expected {_OPERATORS}, got {text[at:]}")


def _select(value: Any, steps: tuple[Step, ...], text: str) -> Any:
    if not steps:
        return value
    step, rest = steps[0], steps[1:]
    if isinstance(step, Names):
        if not isinstance(value, Mapping):
            raise FilterError(f"{text}: expected an object with {', '.join(step.names)}, got {_kind(value)}")
        if len(step.names) > 1:
            # Of several names those that the object has: so the library does that the guide names.
            return {name: value[name] for name in step.names if name in value}
        (name,) = step.names
        if name not in value:
            raise FilterError(f"{text}: the record has no {name!r}")
        return _select(value[name], rest, text)
    if isinstance(step, Wildcard) and isinstance(value, Mapping):
        return [_select(item, rest, text) for item in value.values()]
    if not isinstance(value, list):
        raise FilterError(f"{text}: expected an array, got {_kind(value)}")
    if isinstance(step, Indexes) and len(step.indexes) == 1:
        return _select(value[_index(step.indexes[0], value, text)], rest, text)
    return [_select(value[index], rest, text) for index in _positions(step, value, text)]


def _positions(step: Indexes | Slice | Wildcard, value: list[Any], text: str) -> list[int]:
    if isinstance(step, Indexes):
        return [_index(index, value, text) for index in step.indexes]
    if isinstance(step, Wildcard):
        return list(range(len(value)))
    first = 0 if step.start is None else _index(step.start, value, text)
    last = len(value) - 1 if step.end is None else _index(step.end, value, text)
    return list(range(first, last + 1))


def _index(index: int, value: list[Any], text: str) -> int:
    """Return an index from the beginning; one that is out of range is an error to the service too."""
    found = index + len(value) if index < 0 else index
    if not 0 <= found < len(value):
        raise FilterError(f"{text}: the record has no element {index}; it has {len(value)}")
    return found


def _kind(value: Any) -> str:
    if isinstance(value, Mapping):
        return "an object"
    return "an array" if isinstance(value, list) else repr(value)[:40]
