"""Looks at the alarms: soon after data have arrived, and every few seconds.

CloudWatch looks once a minute, at periods that are over. Here the period that has begun counts as the newest,
so that what somebody tries out is seen at once; a sum that is to be large enough looks too small meanwhile.
"""

from __future__ import annotations

import json
import logging
import threading
from datetime import UTC, datetime, timedelta

from moto.cloudwatch.models import Alarm, CloudWatchBackend, MetricDatumBase, cloudwatch_backends

from mlops_workbench.sandbox.alarms import notices, rules
from mlops_workbench.sandbox.alarms.definition import AlarmError, Definition, read
from mlops_workbench.sandbox.alarms.series import time_of
from mlops_workbench.sandbox.session import current

logger = logging.getLogger("mlops_workbench.sandbox.alarms")

INTERVAL = 2.0  # seconds


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
    notices.change(backend, alarm, verdict.state, verdict.reason, json.dumps(reason_data), moment)


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03}+0000"
