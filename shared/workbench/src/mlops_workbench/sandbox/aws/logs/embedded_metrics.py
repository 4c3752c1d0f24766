"""Lines in CloudWatch's embedded metric format (EMF) become metrics, which moto has not.

[read] "Specification: Embedded metric format": a line that is a JSON object whose ``_aws.CloudWatchMetrics``
lists directives. A directive has a namespace, sets of dimensions (names of members, whose values are texts;
at most 30) and metrics (names of members, whose values are numbers, or up to 100 of them). A document that
breaks a rule is a line like any other: there are no metrics, and nobody is told.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from moto.cloudwatch.models import cloudwatch_backends
from moto.logs.models import LogStream

MOST_VALUES, MOST_DIMENSIONS, MOST_METRICS = 100, 30, 100
_OLDEST, _NEWEST = timedelta(days=14), timedelta(hours=2)

_put = LogStream.put_log_events


def data_of(message: str, now: datetime) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield (namespace, datum as PutMetricData takes it) for each metric of a line; nothing for other lines.

    Args:
        message: the line.
        now: times too far from it are refused, as by the service.
    """
    if not message.startswith("{") or '"_aws"' not in message:
        return
    try:
        document = json.loads(message)
        about = document["_aws"]
        moment = datetime.fromtimestamp(about["Timestamp"] / 1000, UTC)
        if not now - _OLDEST <= moment <= now + _NEWEST:
            return
        found = [each for directive in about["CloudWatchMetrics"] for each in _of(directive, document)]
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError):
        return
    # moto keeps times without their zone, which is UTC.
    for namespace, datum in found:
        yield namespace, {**datum, "Timestamp": moment.replace(tzinfo=None)}


def _of(directive: Mapping[str, Any], document: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    if len(directive["Metrics"]) > MOST_METRICS:
        raise ValueError("too many metrics")
    for names in directive["Dimensions"]:
        if len(names) > MOST_DIMENSIONS:
            raise ValueError("too many dimensions")
        dimensions = [{"Name": name, "Value": _text(document[name])} for name in names]
        for metric in directive["Metrics"]:
            values = document[metric["Name"]]
            values = values if isinstance(values, list) else [values]
            if len(values) > MOST_VALUES:
                raise ValueError("too many values")
            if not values:
                continue
            datum = {
                "MetricName": metric["Name"],
                "Values": [_number(value) for value in values],
                "Unit": metric.get("Unit", "None"),
                "Dimensions": dimensions,
            }
            yield str(directive["Namespace"]), datum


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value or len(value) > 1024:
        raise TypeError("not a dimension's value")
    return value


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError("not a number")
    return float(value)


def put_log_events(self: LogStream, log_events: list[dict[str, Any]]) -> str:
    """Keep lines, and take the metrics out of those that are some."""
    token = _put(self, log_events)
    now, found = datetime.now(UTC), dict[str, list[dict[str, Any]]]()
    for event in log_events:
        for namespace, datum in data_of(event["message"], now):
            found.setdefault(namespace, []).append(datum)
    for namespace, data in found.items():
        cloudwatch_backends[self.account_id][self.region].put_metric_data(namespace, data)
    return token


def install() -> None:
    """Replace what PutLogEvents does for a stream."""
    LogStream.put_log_events = put_log_events  # type: ignore[method-assign]
