"""CloudWatch's alarms and their states."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from mlops_workbench.sandbox.organisation.times import iso

#: What asks for a person first.
_ORDER = ("ALARM", "INSUFFICIENT_DATA", "OK")


@dataclass(frozen=True)
class Alarm:
    """An alarm; ``since`` is when it came into its state."""

    account: str
    name: str
    state: str
    reason: str
    since: str


def collect(client: Any, account: str) -> Iterator[Alarm]:
    """Return the alarms of an account, those that are in ALARM first."""
    found = [
        Alarm(
            account,
            alarm["AlarmName"],
            alarm["StateValue"],
            alarm.get("StateReason", ""),
            iso(alarm.get("StateUpdatedTimestamp")),
        )
        for page in client.get_paginator("describe_alarms").paginate()
        for alarm in page["MetricAlarms"]
    ]
    yield from sorted(found, key=lambda alarm: (_ORDER.index(alarm.state), alarm.name))
