"""Times as text: ISO 8601 in UTC, to the second."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any


def iso(value: Any) -> str:
    """Return a datetime, or seconds since the epoch, as text; "" for None."""
    if value is None:
        return ""
    if isinstance(value, (int, float)):
        value = datetime.fromtimestamp(value, UTC)
    if not isinstance(value, datetime):
        return str(value)
    return f"{value.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def seconds(start: Any, end: Any) -> float | None:
    """Return how long something took, or has taken so far; None if it has not begun."""
    if not isinstance(start, datetime):
        return None
    until = end if isinstance(end, datetime) else datetime.now(UTC)
    return round(max(0.0, (until - start).total_seconds()), 1)
