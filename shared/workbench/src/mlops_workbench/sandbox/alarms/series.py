"""What a metric was in a period of time, from the data that moto keeps.

As in CloudWatch a metric is a namespace, a name and exactly these dimensions. Percentiles are of single
values; CloudWatch has none of what was published as statistics, unless all of it is one value.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from moto.cloudwatch.models import MetricAggregatedDatum, MetricDatum, MetricDatumBase

_PERCENTILE = re.compile(r"p(\d{1,2}(?:\.\d{1,10})?|100)")


@dataclass(frozen=True)
class Metric:
    """A metric and what is asked of it.

    Attributes:
        dimensions: (name, value) pairs, in any order.
        statistic: Sum, Average, Minimum, Maximum, SampleCount or a percentile, p95.
        unit: only data of this unit count; None for all.
    """

    namespace: str
    name: str
    dimensions: frozenset[tuple[str, str]]
    statistic: str
    unit: str | None = None

    def value(self, data: Iterable[MetricDatumBase]) -> float | None:
        """Return the statistic of some data of this metric; None if there are none."""
        found = [one for one in data if self.unit in (None, one.unit)]
        return statistic(self.statistic, found) if found else None

    def matches(self, datum: MetricDatumBase) -> bool:
        """Tell whether a datum is of this metric; the unit is not looked at."""
        return (
            datum.name == self.name
            and datum.namespace == self.namespace
            and {(one.name, one.value) for one in datum.dimensions} == self.dimensions
        )


def is_statistic(text: str) -> bool:
    """Tell whether the sandbox computes a statistic of this name."""
    return text in _STATISTICS or _PERCENTILE.fullmatch(text) is not None


def statistic(name: str, data: Sequence[MetricDatumBase]) -> float | None:
    """Return a statistic of one or more data; None for a percentile of what has no single values."""
    if name in _STATISTICS:
        return _STATISTICS[name](data)
    values = sorted(value for one in data for value in _single(one))
    if not values:
        return None
    rank = math.ceil(float(name[1:]) / 100 * len(values))
    return values[max(rank, 1) - 1]


def time_of(datum: MetricDatumBase) -> datetime:
    """Return when a datum is of; moto keeps some times without their zone, which is UTC."""
    moment = datum.timestamp
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


def _single(datum: MetricDatumBase) -> list[float]:
    if isinstance(datum, MetricDatum):
        return [datum.value]
    if isinstance(datum, MetricAggregatedDatum) and datum.min == datum.max:
        return [datum.min] * max(int(datum.sample_count), 1)
    return []


def _sum(data: Sequence[MetricDatumBase]) -> float:
    return float(sum(one.sum if isinstance(one, MetricAggregatedDatum) else _single(one)[0] for one in data))


def _count(data: Sequence[MetricDatumBase]) -> float:
    return float(sum(one.sample_count if isinstance(one, MetricAggregatedDatum) else 1 for one in data))


_STATISTICS: dict[str, Callable[[Sequence[MetricDatumBase]], float]] = {
    "Sum": _sum,
    "SampleCount": _count,
    "Average": lambda data: _sum(data) / max(_count(data), 1.0),
    "Minimum": lambda data: min(
        one.min if isinstance(one, MetricAggregatedDatum) else _single(one)[0] for one in data
    ),
    "Maximum": lambda data: max(
        one.max if isinstance(one, MetricAggregatedDatum) else _single(one)[0] for one in data
    ),
}
