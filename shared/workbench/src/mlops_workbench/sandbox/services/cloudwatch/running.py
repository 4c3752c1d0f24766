"""Looks at the alarms, and tells of a change: in its history, by an event, in messages to topics.

CloudWatch looks once a minute, at periods that are over. Here alarms are looked at soon after data have
arrived, and every few seconds, and the period that has begun counts as the newest, so that what somebody
tries out is seen at once; a sum that is to be large enough looks too small meanwhile.

[read] in "Alarm events and EventBridge" and, of the message to a topic, in its examples. CloudWatch acts
as itself: a topic is asked by its policy, and by that of its key, with the alarm as the source.
"""

from __future__ import annotations

import json
import logging
import threading
import uuid
from collections import deque
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, cast

import botocore.session
from botocore.exceptions import ClientError
from moto.cloudwatch.models import (
    Alarm,
    CloudWatchBackend,
    Dimension,
    MetricDataQuery,
    MetricDatumBase,
    cloudwatch_backends,
)

from mlops_workbench.sandbox import session
from mlops_workbench.sandbox.gate import STATE
from mlops_workbench.sandbox.iam import acting, decide
from mlops_workbench.sandbox.services.cloudwatch import rules
from mlops_workbench.sandbox.services.cloudwatch.definition import AlarmError, Definition, read
from mlops_workbench.sandbox.services.cloudwatch.rules import time_of
from mlops_workbench.sandbox.session import current

logger = logging.getLogger("mlops_workbench.sandbox.services.cloudwatch")

INTERVAL = 2.0  # seconds
PRINCIPAL = "cloudwatch.amazonaws.com"
_LIMIT = 500  # entries that an account's history keeps in a region
_LONGEST_SUBJECT = 100  # characters: SNS's limit


class Watch:
    """Who looks at the alarms of an open sandbox."""

    def __init__(self) -> None:
        self._one_at_a_time = threading.Lock()
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="alarms", daemon=True)

    def start(self) -> None:
        """Begin to look, in a thread."""
        self._thread.start()

    def stop(self) -> None:
        """End, and wait for the end."""
        self._stop.set()
        self._wake.set()
        self._thread.join()

    def wake(self) -> None:
        """Look soon: data have arrived, or an alarm has changed."""
        self._wake.set()

    def look(self) -> None:
        """Evaluate every alarm of every account now."""
        with self._one_at_a_time:
            moment = now()
            for account, region, _ in list(cloudwatch_backends.iter_backends()):
                backend = cloudwatch_backends[account][region]
                if backend.alarms:
                    _look_at(backend, moment)

    def _watch(self) -> None:
        while not self._stop.is_set():
            self._wake.clear()
            try:
                self.look()
            except Exception:
                logger.exception("alarms")
            self._wake.wait(INTERVAL)


def now() -> datetime:
    """Return the time that periods are counted from; tests put their own here."""
    return datetime.now(UTC)


def look() -> None:
    """Evaluate every alarm of the open sandbox now; otherwise they are looked at every few seconds."""
    current().part(Watch).look()


def _look_at(backend: CloudWatchBackend, moment: datetime) -> None:
    definitions: list[tuple[Alarm, Definition]] = []
    for alarm in list(backend.alarms.values()):
        try:
            definitions.append((alarm, read(alarm)))
        except AlarmError as error:
            # One that came another way than by PutMetricAlarm, as those of auto scaling do.
            logger.debug("alarm %s: %s", alarm.name, error)
    horizon = max((definition.horizon for _, definition in definitions), default=timedelta())
    recent: dict[tuple[str, str], list[MetricDatumBase]] = {}
    for datum in list(backend.metric_data):
        if time_of(datum) > moment - horizon:
            recent.setdefault((datum.namespace, datum.name), []).append(datum)
    for alarm, definition in definitions:
        names = {(metric.namespace, metric.name) for metric in definition.metrics.values()}
        data = [datum for name in names for datum in recent.get(name, ())]
        _judge(backend, alarm, definition, data, moment)


def _judge(
    backend: CloudWatchBackend,
    alarm: Alarm,
    definition: Definition,
    data: list[MetricDatumBase],
    moment: datetime,
) -> None:
    starts, values = definition.starts(moment), definition.values(data, moment)
    verdict = rules.judge(definition.rule, values, [f"{start:%d/%m/%y %H:%M:%S}" for start in starts])
    if verdict.state is None or verdict.state == alarm.state_value:
        return
    used = [(start, value) for start, value in zip(starts, values, strict=True) if value is not None]
    points = used[: definition.rule.periods]
    reason_data = {
        "version": "1.0",
        "queryDate": _time(moment),
        **({"startDate": _time(points[-1][0])} if points else {}),
        "period": definition.period,
        "recentDatapoints": [value for _, value in reversed(points)],
        "threshold": definition.rule.threshold,
        "evaluatedDatapoints": [{"timestamp": _time(start), "value": value} for start, value in points],
    }
    change(backend, alarm, verdict.state, verdict.reason, json.dumps(reason_data), moment)


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03}+0000"


def change(
    backend: CloudWatchBackend, alarm: Alarm, state: str, reason: str, data: str, now: datetime
) -> None:
    """Put an alarm into another state and tell so; the messages go on in threads."""
    before = _state(alarm)
    with STATE.changing():
        alarm.state_value, alarm.state_reason, alarm.state_reason_data = state, reason, data
        alarm.state_updated_timestamp = now.astimezone(UTC).replace(tzinfo=None)
        vars(alarm)["state_transitioned_timestamp"] = alarm.state_updated_timestamp
    after = _state(alarm)
    remember(
        backend,
        alarm,
        "StateUpdate",
        f"Alarm updated from {before['value']} to {state}",
        {"version": "1.0", "oldState": _shown(before), "newState": _shown(after)},
        now,
    )
    detail = {
        "alarmName": alarm.name,
        "configuration": {"description": alarm.description or "", "metrics": _event_metrics(alarm)},
        "previousState": before,
        "state": after,
    }
    account, region = backend.account_id, backend.region_name
    session.emit(
        account, region, "aws.cloudwatch", "CloudWatch Alarm State Change", detail, [alarm.alarm_arn]
    )
    actions = {"ALARM": alarm.alarm_actions, "OK": alarm.ok_actions}.get(
        state, alarm.insufficient_data_actions
    )
    if not alarm.actions_enabled:
        return
    subject = f'{state}: "{alarm.name}" in {_region_name(region)}'[:_LONGEST_SUBJECT]
    message = json.dumps(_message(backend, alarm, before["value"], now))
    for arn in actions:
        session.current().work.begin(
            f"alarm {alarm.name} to {arn}",
            lambda arn=arn: _publish(backend, alarm, arn, subject, message, now),  # type: ignore[misc]
        )


def history(backend: CloudWatchBackend) -> deque[dict[str, Any]]:
    """Return what has happened to an account's alarms, the oldest first, as DescribeAlarmHistory shows it."""
    empty: deque[dict[str, Any]] = deque(maxlen=_LIMIT)
    return cast(deque[dict[str, Any]], vars(backend).setdefault("sandbox_alarm_history", empty))


def remember(
    backend: CloudWatchBackend,
    alarm: Alarm,
    kind: str,
    summary: str,
    data: Mapping[str, Any],
    now: datetime,
) -> None:
    """Add an entry to the history: ConfigurationUpdate, StateUpdate or Action."""
    entry = {
        "AlarmName": alarm.name,
        "AlarmType": "MetricAlarm",
        "Timestamp": now,
        "HistoryItemType": kind,
        "HistorySummary": summary,
        "HistoryData": json.dumps(data),
    }
    with STATE.changing():
        history(backend).append(entry)


def _publish(
    backend: CloudWatchBackend, alarm: Alarm, topic: str, subject: str, message: str, now: datetime
) -> None:
    _, _, service, region, account = topic.split(":")[:5]
    why: str | None = f"the sandbox's alarms act on topics, not on {service}"
    if service == "sns":
        why = decide.refusal(topic, PRINCIPAL, "sns:Publish", alarm.alarm_arn, backend.account_id) or None
    if why is None:
        try:
            acting.as_account("sns", account, region).publish(
                TopicArn=topic, Subject=subject, Message=message
            )
        except ClientError as error:
            why = str(error)
    told = "Successfully executed action" if why is None else "Failed to execute action"
    if why:
        logger.warning("alarm %s: %s", alarm.name, why)
    data = {"actionState": "Failed" if why else "Succeeded", "notificationResource": topic, "error": why}
    remember(backend, alarm, "Action", f"{told} {topic}", data, now)


def _state(alarm: Alarm) -> dict[str, Any]:
    data = {"reasonData": alarm.state_reason_data} if alarm.state_reason_data not in ("", "{}", None) else {}
    return {
        "value": alarm.state_value,
        "reason": alarm.state_reason,
        **data,
        "timestamp": _stamp(alarm.state_updated_timestamp),
    }


def _shown(state: Mapping[str, Any]) -> dict[str, Any]:
    """Return a state as the history writes it."""
    data = {"stateReasonData": json.loads(state["reasonData"])} if "reasonData" in state else {}
    return {"stateValue": state["value"], "stateReason": state["reason"], **data}


def _event_metrics(alarm: Alarm) -> list[dict[str, Any]]:
    if alarm.metric_data_queries:
        return [_event_query(query) for query in alarm.metric_data_queries]
    stat = {
        "metric": {
            "dimensions": {one.name: one.value for one in alarm.dimensions},
            "name": alarm.metric_name,
            "namespace": alarm.namespace,
        },
        "period": alarm.period,
        "stat": alarm.statistic or alarm.extended_statistic,
    }
    return [{"id": str(uuid.uuid4()), "metricStat": stat, "returnData": True}]


def _event_query(query: MetricDataQuery) -> dict[str, Any]:
    returned = {"returnData": _returned(query)}
    if query.metric_stat is None:
        return {"expression": query.expression, "id": query.id, "label": query.label, **returned}
    stat = query.metric_stat
    metric = {
        "dimensions": {one.name: one.value for one in stat.metric.dimensions},
        "name": stat.metric.metric_name,
        "namespace": stat.metric.namespace,
    }
    return {
        "id": query.id,
        "metricStat": {"metric": metric, "period": int(stat.period), "stat": stat.stat},
        **returned,
    }


def _message(backend: CloudWatchBackend, alarm: Alarm, before: str, now: datetime) -> dict[str, Any]:
    trigger: dict[str, Any] = {
        "EvaluationPeriods": alarm.evaluation_periods,
        "DatapointsToAlarm": alarm.datapoints_to_alarm or alarm.evaluation_periods,
        "ComparisonOperator": alarm.comparison_operator,
        "Threshold": alarm.threshold,
        "TreatMissingData": alarm.treat_missing_data or "missing",
        "EvaluateLowSampleCountPercentile": alarm.evaluate_low_sample_count_percentile or "",
    }
    if alarm.metric_data_queries:
        trigger["Metrics"] = [_message_query(query) for query in alarm.metric_data_queries]
    else:
        kind = "ExtendedStatistic" if alarm.extended_statistic else "Statistic"
        value = alarm.extended_statistic or (alarm.statistic or "").upper()
        trigger |= {
            "MetricName": alarm.metric_name,
            "Namespace": alarm.namespace,
            "StatisticType": kind,
            kind: value,
            "Unit": alarm.unit,
            "Dimensions": _pairs(alarm.dimensions),
            "Period": alarm.period,
        }
    return {
        "AlarmName": alarm.name,
        "AlarmDescription": alarm.description,
        "AWSAccountId": backend.account_id,
        "AlarmConfigurationUpdatedTimestamp": _stamp(alarm.configuration_updated_timestamp),
        "NewStateValue": alarm.state_value,
        "NewStateReason": alarm.state_reason,
        "StateChangeTime": _stamp(now),
        "Region": _region_name(backend.region_name),
        "AlarmArn": alarm.alarm_arn,
        "OldStateValue": before,
        "OKActions": alarm.ok_actions,
        "AlarmActions": alarm.alarm_actions,
        "InsufficientDataActions": alarm.insufficient_data_actions,
        "Trigger": trigger,
    }


def _message_query(query: MetricDataQuery) -> dict[str, Any]:
    returned = {"ReturnData": _returned(query)}
    if query.metric_stat is None:
        return {"Id": query.id, "Expression": query.expression, "Label": query.label, **returned}
    stat = query.metric_stat
    metric = {
        "Dimensions": _pairs(stat.metric.dimensions),
        "MetricName": stat.metric.metric_name,
        "Namespace": stat.metric.namespace,
    }
    return {
        "Id": query.id,
        "MetricStat": {"Metric": metric, "Period": int(stat.period), "Stat": stat.stat},
        **returned,
    }


def _pairs(dimensions: list[Dimension]) -> list[dict[str, Any]]:
    return [{"value": one.value, "name": one.name} for one in dimensions]


def _returned(query: MetricDataQuery) -> bool:
    return query.return_data is None or str(query.return_data).lower() == "true"


def _stamp(moment: datetime) -> str:
    """Return a time as CloudWatch's messages write it: ``2026-11-24T18:00:00.000+0000``."""
    utc = moment.astimezone(UTC) if moment.tzinfo else moment
    return f"{utc:%Y-%m-%dT%H:%M:%S}.{utc.microsecond // 1000:03}+0000"


@cache
def _region_name(region: str) -> str:
    """Return a Region's name for people, as mails show it: ``Canada (Central)``."""
    partitions = botocore.session.get_session().get_data("endpoints")["partitions"]
    for partition in partitions:
        if region in partition["regions"]:
            return str(partition["regions"][region]["description"])
    return region
