"""An alarm as moto keeps it, read into what can be evaluated."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from moto.cloudwatch.models import Alarm, Dimension, MetricDataQuery, MetricDatumBase

from mlops_workbench.sandbox.services.cloudwatch.expressions import Expression, ExpressionError, parse
from mlops_workbench.sandbox.services.cloudwatch.rules import (
    COMPARISONS,
    EXTRA,
    MISSING,
    Metric,
    Rule,
    is_statistic,
    time_of,
)

_SHORT_PERIODS = (10, 20, 30)
_ONLY = "m"  # the id of an alarm's metric that needs none


class AlarmError(ValueError):
    """An alarm that cannot be evaluated; one line that says which of its parameters, and why."""


@dataclass(frozen=True)
class Definition:
    """What is evaluated.

    Attributes:
        period: in seconds.
        metrics: by id.
        expressions: by id, each after those that it is made of.
        wanted: the id of what is compared with the threshold.
    """

    rule: Rule
    period: int
    metrics: Mapping[str, Metric]
    expressions: Mapping[str, Expression]
    wanted: str

    @property
    def horizon(self) -> timedelta:
        """Return how far back data count."""
        return timedelta(seconds=self.period * (self.rule.periods + EXTRA))

    def starts(self, now: datetime) -> list[datetime]:
        """Return when the periods begin, the newest first: the one that now is in."""
        count = self.rule.periods + EXTRA
        newest = int(now.timestamp()) // self.period * self.period
        return [datetime.fromtimestamp(newest - self.period * index, UTC) for index in range(count)]

    def values(self, data: Iterable[MetricDatumBase], now: datetime) -> list[float | None]:
        """Return the values of the periods, the newest first; None where there is none."""
        starts = self.starts(now)
        by_period: list[dict[str, list[MetricDatumBase]]] = [{} for _ in starts]
        for datum in data:
            moment = time_of(datum)
            # Whole periods since the datum's own began; a datum of the future is in none.
            index = math.ceil((starts[0] - moment).total_seconds() / self.period)
            if moment > now or index >= len(by_period):
                continue
            for id_, metric in self.metrics.items():
                if metric.matches(datum):
                    by_period[index].setdefault(id_, []).append(datum)
        return [self._value(found) for found in by_period]

    def _value(self, data: Mapping[str, list[MetricDatumBase]]) -> float | None:
        values = {id_: metric.value(data.get(id_, [])) for id_, metric in self.metrics.items()}
        for id_, expression in self.expressions.items():
            values[id_] = expression.value(values)
        return values[self.wanted]


def read(alarm: Alarm) -> Definition:
    """Read an alarm.

    Raises:
        AlarmError: the service would not take it, or the sandbox does not evaluate such alarms.
    """
    if alarm.rule is not None:
        raise AlarmError("AlarmRule: the sandbox has no composite alarms")
    if alarm.threshold_metric_id:
        raise AlarmError("ThresholdMetricId: the sandbox has no anomaly detection")
    if alarm.evaluate_low_sample_count_percentile == "ignore":
        raise AlarmError("EvaluateLowSampleCountPercentile: the sandbox evaluates few samples as many")
    rule = _rule(alarm)
    if not alarm.metric_data_queries:
        name = alarm.statistic or alarm.extended_statistic
        metric = _metric(alarm.namespace, alarm.metric_name, alarm.dimensions, name, alarm.unit, "Statistic")
        return Definition(rule, _period(alarm.period, "Period"), {_ONLY: metric}, {}, _ONLY)
    return _from_queries(rule, alarm.metric_data_queries)


def _rule(alarm: Alarm) -> Rule:
    if alarm.comparison_operator not in COMPARISONS:
        expected = ", ".join(COMPARISONS)
        raise AlarmError(f"ComparisonOperator: expected one of {expected}, got {alarm.comparison_operator}")
    missing = alarm.treat_missing_data or "missing"
    if missing not in MISSING:
        raise AlarmError(f"TreatMissingData: expected one of {', '.join(MISSING)}, got {missing}")
    if alarm.threshold is None:
        raise AlarmError("Threshold: expected a number, got none")
    periods = int(alarm.evaluation_periods or 0)
    datapoints = int(alarm.datapoints_to_alarm or periods)
    if not 1 <= datapoints <= periods:
        raise AlarmError(f"DatapointsToAlarm: expected 1 to EvaluationPeriods ({periods}), got {datapoints}")
    return Rule(alarm.comparison_operator, float(alarm.threshold), periods, datapoints, missing)


def _from_queries(rule: Rule, queries: list[MetricDataQuery]) -> Definition:
    metrics: dict[str, Metric] = {}
    waiting: dict[str, Expression] = {}
    periods: set[int] = set()
    for query in queries:
        where = f"Metrics: {query.id}"
        if query.period:
            periods.add(_period(query.period, where))
        if query.metric_stat:
            stat = query.metric_stat
            periods.add(_period(stat.period, where))
            metrics[query.id] = _metric(
                stat.metric.namespace,
                stat.metric.metric_name,
                stat.metric.dimensions,
                stat.stat,
                stat.unit,
                where,
            )
        elif query.expression:
            try:
                waiting[query.id] = parse(query.expression)
            except ExpressionError as error:
                raise AlarmError(f"{where}: {error}") from None
        else:
            raise AlarmError(f"{where}: expected MetricStat or Expression, got neither")
    returned = [query.id for query in queries if _is_true(query.return_data)]
    if len(returned) != 1:
        found = ", ".join(returned) or "none"
        raise AlarmError(f"Metrics: expected exactly one with ReturnData true, got {found}")
    if len(periods) != 1:
        found = ", ".join(map(str, sorted(periods))) or "none"
        raise AlarmError(f"Metrics: expected one period for all, got {found}")
    return Definition(rule, periods.pop(), metrics, _in_order(waiting, set(metrics)), returned[0])


def _in_order(waiting: dict[str, Expression], known: set[str]) -> dict[str, Expression]:
    ordered: dict[str, Expression] = {}
    while waiting:
        ready = {id_: one for id_, one in waiting.items() if one.names <= known}
        if not ready:
            id_, expression = next(iter(waiting.items()))
            unknown = ", ".join(sorted(expression.names - known))
            raise AlarmError(f"Metrics: {id_}: {expression.text!r}: there is no {unknown}")
        ordered |= ready
        known |= set(ready)
        waiting = {id_: one for id_, one in waiting.items() if id_ not in ready}
    return ordered


def _metric(
    namespace: str,
    name: str,
    dimensions: Iterable[Dimension],
    statistic: str | None,
    unit: str | None,
    where: str,
) -> Metric:
    if not is_statistic(statistic or ""):
        raise AlarmError(
            f"{where}: expected Sum, Average, Minimum, Maximum, SampleCount or a percentile (p95), "
            f"got {statistic}"
        )
    pairs = frozenset((str(one.name), str(one.value)) for one in dimensions)
    return Metric(namespace, name, pairs, str(statistic), unit or None)


def _period(value: object, where: str) -> int:
    seconds = int(str(value or 0))
    if seconds not in _SHORT_PERIODS and (seconds < 60 or seconds % 60):
        raise AlarmError(
            f"{where}: expected a period of 10, 20, 30 or a multiple of 60 seconds, got {seconds}"
        )
    return seconds


def _is_true(value: object) -> bool:
    """Tell whether a query is returned, which it is unless it says otherwise."""
    return value is None or str(value).lower() == "true"
