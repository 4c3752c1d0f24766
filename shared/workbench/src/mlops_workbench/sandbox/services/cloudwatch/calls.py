"""CloudWatch's calls: alarms that have a state and a history, and metrics with percentiles.

moto 5.2.5 begins with the state OK, forgets it when an alarm is changed, tells nobody of SetAlarmState,
has no DescribeAlarmHistory, and takes what cannot be evaluated. It answers percentiles with nothing, and
ListMetrics names a metric as often as it has data.
"""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from typing import Any, SupportsFloat

from moto.cloudwatch.exceptions import ValidationError
from moto.cloudwatch.models import Alarm, CloudWatchBackend, MetricDatumBase, Statistics
from moto.cloudwatch.responses import CloudWatchResponse
from moto.core.responses import ActionResult

from mlops_workbench.sandbox.services.cloudwatch import running
from mlops_workbench.sandbox.services.cloudwatch.definition import AlarmError, read
from mlops_workbench.sandbox.services.cloudwatch.rules import INSUFFICIENT_DATA, statistic
from mlops_workbench.sandbox.session import current

_STATE = (
    "state_value",
    "state_reason",
    "state_reason_data",
    "state_updated_timestamp",
    "state_transitioned_timestamp",
)
_MOST_ACTIONS = 5  # for each state
_LONGEST_PAGE = 100
_statistic = Statistics.get_statistics_for_type
_get = CloudWatchResponse.get_metric_statistics


def put_metric_alarm(self: CloudWatchResponse) -> ActionResult:
    """Make or change an alarm."""
    backend, name = self.cloudwatch_backend, self._get_param("AlarmName")
    before = backend.alarms.get(name)
    answer = _put_metric_alarm(self)
    alarm = backend.alarms[name]
    try:
        read(alarm)
        _check_actions(alarm)
    except AlarmError as error:
        if before is None:
            del backend.alarms[name]
        else:
            backend.alarms[name] = before
        raise ValidationError(str(error)) from None
    what = "updated" if before else "created"
    running.remember(
        backend, alarm, "ConfigurationUpdate", f'Alarm "{name}" {what}', {"version": "1.0"}, running.now()
    )
    current().part(running.Watch).wake()
    return answer


def set_alarm_state(self: CloudWatchResponse) -> ActionResult:
    """Put an alarm into a state until it is looked at again."""
    backend, name = self.cloudwatch_backend, self._get_param("AlarmName")
    alarm = backend.alarms.get(name)
    if alarm is None:
        return _set_alarm_state(self)  # refuses it
    before = {key: getattr(alarm, key, None) for key in _STATE}
    answer = _set_alarm_state(self)  # checks the request
    after, reason, data = alarm.state_value, alarm.state_reason, alarm.state_reason_data
    vars(alarm).update(before)
    if after != alarm.state_value:
        running.change(backend, alarm, after, reason, data or "{}", running.now())
    return answer


def describe_alarm_history(self: CloudWatchResponse) -> ActionResult:
    """List what has happened to alarms, the newest first unless asked otherwise."""
    wanted = {key: self._get_param(key) for key in ("AlarmName", "HistoryItemType")}
    start, end = (_time(self._get_param(key)) for key in ("StartDate", "EndDate"))
    types = self._get_param("AlarmTypes") or ["MetricAlarm"]
    found = [
        entry
        for entry in running.history(self.cloudwatch_backend)
        if all(value in (None, entry[key]) for key, value in wanted.items())
        and entry["AlarmType"] in types
        and (start is None or entry["Timestamp"] >= start)
        and (end is None or entry["Timestamp"] <= end)
    ]
    if (self._get_param("ScanBy") or "TimestampDescending") == "TimestampDescending":
        found.reverse()
    items, token = _page(found, self._get_param("NextToken"), self._get_param("MaxRecords"))
    return ActionResult({"AlarmHistoryItems": items, "NextToken": token})


def _check_actions(alarm: Alarm) -> None:
    for key, arns in (
        ("AlarmActions", alarm.alarm_actions),
        ("OKActions", alarm.ok_actions),
        ("InsufficientDataActions", alarm.insufficient_data_actions),
    ):
        if len(arns) > _MOST_ACTIONS:
            raise AlarmError(f"{key}: expected at most {_MOST_ACTIONS}, got {len(arns)}")
        for arn in arns:
            if not arn.startswith("arn:aws:sns:"):
                raise AlarmError(f"{key}: the sandbox's alarms act on SNS topics, got {arn}")


def _page(
    items: list[dict[str, Any]], token: str | None, size: int | None
) -> tuple[list[dict[str, Any]], str | None]:
    try:
        start = int(base64.urlsafe_b64decode(token)) if token else 0
    except ValueError:
        raise ValidationError(f"NextToken: expected one that this call returned, got {token!r}") from None
    end = start + (int(size) if size else _LONGEST_PAGE)
    more = base64.urlsafe_b64encode(json.dumps(end).encode()).decode() if end < len(items) else None
    return items[start:end], more


def _time(value: datetime | None) -> datetime | None:
    if value is None or value.tzinfo:
        return value
    return value.replace(tzinfo=UTC)


_put_metric_alarm = CloudWatchResponse.put_metric_alarm
_set_alarm_state = CloudWatchResponse.set_alarm_state


def _install_alarms() -> None:
    """Replace moto's calls, and keep an alarm's state when it is changed."""
    put_alarm, put_data = CloudWatchBackend.put_metric_alarm, CloudWatchBackend.put_metric_data

    def put_metric_alarm_of_backend(self: CloudWatchBackend, name: str, *given: Any, **more: Any) -> Alarm:
        before = self.alarms.get(name)
        alarm = put_alarm(self, name, *given, **more)
        if before:
            vars(alarm).update({key: getattr(before, key) for key in _STATE if hasattr(before, key)})
        else:
            alarm.state_value = INSUFFICIENT_DATA
        return alarm

    def put_metric_data(self: CloudWatchBackend, *given: Any, **more: Any) -> None:
        put_data(self, *given, **more)
        if self.alarms:
            current().part(running.Watch).wake()

    CloudWatchBackend.put_metric_alarm = put_metric_alarm_of_backend  # type: ignore[method-assign]
    CloudWatchBackend.put_metric_data = put_metric_data  # type: ignore[method-assign]
    for call in (put_metric_alarm, set_alarm_state, describe_alarm_history):
        setattr(CloudWatchResponse, call.__name__, call)


def get_statistics_for_type(self: Statistics, stat: str) -> SupportsFloat | None:
    """Return a statistic of a period, for GetMetricData: ``p95`` too."""
    return statistic(stat, self.metric_data) if stat.startswith("p") else _statistic(self, stat)


def get_metric_statistics(self: CloudWatchResponse) -> ActionResult:
    """Return statistics of each period, and percentiles where asked for."""
    extended = self._get_param("ExtendedStatistics") or []
    # moto wants statistics, and gives none that is not asked for.
    answer = _get(self)
    for datapoint in answer.result["Datapoints"]:  # type: ignore[index]
        found = {name: statistic(name, datapoint.metric_data) for name in extended}
        datapoint.extended_statistics = {name: value for name, value in found.items() if value is not None}
    return answer


def get_filtered_metrics(
    self: CloudWatchBackend, metric_name: str, namespace: str, dimensions: list[dict[str, str]]
) -> list[MetricDatumBase]:
    """Return a datum of each metric, for ListMetrics; moto compares every datum with every other."""
    found: dict[Any, MetricDatumBase] = {}
    for datum in self.get_all_metrics():
        if datum.filter(namespace=namespace, name=metric_name, dimensions=dimensions):
            pairs = sorted((each.name, each.value) for each in datum.dimensions)
            found.setdefault((datum.namespace, datum.name, tuple(pairs)), datum)
    return list(found.values())


def _install_metrics() -> None:
    """Patch moto."""
    Statistics.get_statistics_for_type = get_statistics_for_type  # type: ignore[method-assign]
    CloudWatchResponse.get_metric_statistics = get_metric_statistics  # type: ignore[method-assign]
    CloudWatchBackend.get_filtered_metrics = get_filtered_metrics  # type: ignore[method-assign]


def install() -> None:
    """Patch moto."""
    _install_alarms()
    _install_metrics()
