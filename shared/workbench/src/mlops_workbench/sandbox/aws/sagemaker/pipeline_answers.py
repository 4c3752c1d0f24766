"""Small pieces that the pipelines' answers share."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from mlops_workbench.sandbox.pipelines import DefinitionError

#: MaxResults when not given, [read] in the API reference of the pipelines' List* calls.
PAGE = 10


def time_of(seconds: float) -> datetime:
    """Return a time as answers carry it."""
    return datetime.fromtimestamp(seconds, UTC)


def known(answer: dict[str, Any]) -> dict[str, Any]:
    """Return an answer without the members that have no value."""
    return {key: value for key, value in answer.items() if value is not None}


def with_times(params: dict[str, Any]) -> dict[str, Any]:
    """Return a request with CreatedAfter and CreatedBefore under the names that ``listing.page`` reads."""
    names = {"CreatedAfter": "CreationTimeAfter", "CreatedBefore": "CreationTimeBefore"}
    return {names.get(key, key): value for key, value in params.items()}


def one_line(error: DefinitionError) -> str:
    """Return every problem of a definition in one line, as an error message has no others."""
    return " | ".join(map(str, error.problems))
