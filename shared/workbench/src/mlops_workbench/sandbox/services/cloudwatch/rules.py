"""What a metric was in a period of time, and which state an alarm has by that: pure functions.

As in CloudWatch a metric is a namespace, a name and exactly these dimensions. Percentiles are of single
values; CloudWatch has none of what was published as statistics, unless all of it is one value.

[read] in "Configuring how CloudWatch alarms treat missing data" and "Evaluating an alarm": N datapoints
are evaluated, M of which must breach. More periods than N are looked at, so that a datapoint that is late
or missing is replaced by an older one; how many more depends on the alarm in AWS, and is two here, as in
the documentation's examples. Where there are fewer than N, what is missing counts as the alarm says.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from moto.cloudwatch.models import MetricAggregatedDatum, MetricDatum, MetricDatumBase

_PERCENTILE = re.compile(r"p(\d{1,2}(?:\.\d{1,10})?|100)")
OK, ALARM, INSUFFICIENT_DATA = "OK", "ALARM", "INSUFFICIENT_DATA"
#: Periods that are looked at beyond those that are evaluated.
EXTRA = 2
#: operator -> (does a value breach, how the reason puts it)
COMPARISONS: dict[str, tuple[Callable[[float, float], bool], str]] = {
    "GreaterThanThreshold": (operator.gt, "greater than"),
    "GreaterThanOrEqualToThreshold": (operator.ge, "greater than or equal to"),
    "LessThanThreshold": (operator.lt, "less than"),
    "LessThanOrEqualToThreshold": (operator.le, "less than or equal to"),
}
MISSING = ("breaching", "notBreaching", "ignore", "missing")
_TREATED = {"breaching": "Breaching", "notBreaching": "NonBreaching"}


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


@dataclass(frozen=True)
class Rule:
    """The numbers of an alarm."""

    comparison: str
    threshold: float
    periods: int
    datapoints: int
    missing: str = "missing"

    def breaches(self, value: float) -> bool:
        """Tell whether a datapoint is on the wrong side of the threshold."""
        return COMPARISONS[self.comparison][0](value, self.threshold)


@dataclass(frozen=True)
class Verdict:
    """The state that the datapoints give, and the reason in CloudWatch's words; None keeps the state."""

    state: str | None
    reason: str = ""


def judge(rule: Rule, values: Sequence[float | None], described: Sequence[str]) -> Verdict:
    """Return the verdict on the newest datapoints.

    Args:
        rule: of the alarm.
        values: of the last ``rule.periods + EXTRA`` periods, the newest first; None where there is no data.
        described: the times of the periods, as the reason shows them.
    """
    found = [(value, when) for value, when in zip(values, described, strict=True) if value is not None]
    used = found[: rule.periods]
    lacking = rule.periods - len(used)
    bad = sum(rule.breaches(value) for value, _ in used)
    state = _state(rule, bad, len(used) - bad, lacking)
    return Verdict(state, _reason(rule, state, used, lacking)) if state else Verdict(None)


def _state(rule: Rule, bad: int, good: int, lacking: int) -> str | None:
    if rule.missing == "breaching":
        bad += lacking
    elif lacking and not (bad or good):
        return {"ignore": None, "missing": INSUFFICIENT_DATA, "notBreaching": OK}[rule.missing]
    if bad >= rule.datapoints:
        return ALARM
    if lacking and rule.missing in ("ignore", "missing"):
        # What is missing could still make it an alarm, unless enough is good already.
        open_ = bad + lacking >= rule.datapoints
        if open_ and rule.missing == "ignore":
            return None
        if open_ and bad and not good:
            return ALARM
    return OK


def _reason(rule: Rule, state: str, used: Sequence[tuple[float, str]], lacking: int) -> str:
    if state == INSUFFICIENT_DATA:
        were = "datapoint was" if lacking == 1 else "datapoints were"
        return f"Insufficient Data: {lacking} {were} unknown."
    treated = _TREATED.get(rule.missing)
    filled = ""
    if lacking and treated:
        were = "missing datapoint was" if lacking == 1 else "missing datapoints were"
        filled = f"{lacking} {were} treated as [{treated}]"
    if not used:
        periods = "1 period" if lacking == 1 else f"{lacking} periods"
        return f"Threshold Crossed: no datapoints were received for {periods} and {filled}."
    bad = sum(rule.breaches(value) for value, _ in used)
    count = bad if state == ALARM else len(used) - bad
    shown = ", ".join(f"{value} ({when})" for value, when in used)
    words = COMPARISONS[rule.comparison][1]
    verb = "was" if count == 1 else "were"
    negation = "" if state == ALARM else "not "
    text = (
        f"Threshold Crossed: {count} out of the last {len(used)} datapoints [{shown}] {verb} {negation}"
        f"{words} the threshold ({rule.threshold})"
    )
    transition = "OK -> ALARM" if state == ALARM else "ALARM -> OK"
    least = rule.datapoints if state == ALARM else rule.periods - rule.datapoints + 1
    text += f" (minimum {least} datapoint{'' if least == 1 else 's'} for {transition} transition)"
    return f"{text}{' and ' + filled if filled else ''}."
