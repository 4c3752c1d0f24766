"""PutEvents: moto delivers within the call, to some targets, and answers 500 for the others.

Here deliveries go on in threads, to the targets of ``mlops_workbench.sandbox.events.targets``.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from moto.events.models import EventsBackend, Rule

from mlops_workbench.sandbox.events.bus import event_of, put


def install() -> None:
    """Replace what sends an event to a rule's targets."""
    check = EventsBackend.put_events

    def put_events(self: EventsBackend, events: list[dict[str, Any]]) -> list[dict[str, Any]]:
        # moto checks the entries; its own rules send nothing.
        entries = check(self, events)
        for entry, given in zip(entries, events, strict=True):
            if "EventId" not in entry:
                continue
            event = event_of(
                self.account_id,
                self.region_name,
                given["Source"],
                given["DetailType"],
                json.loads(given["Detail"]),
                given.get("Resources") or (),
                _time(given.get("Time")),
            )
            event["id"] = entry["EventId"]
            put(self.account_id, self.region_name, event, _bus(given.get("EventBusName")))
        return entries

    def send_to_targets(self: Rule, original_event: Any, transform_input: bool = True) -> None:
        pass

    EventsBackend.put_events = put_events  # type: ignore[method-assign]
    Rule.send_to_targets = send_to_targets  # type: ignore[method-assign]


def _bus(name_or_arn: str | None) -> str:
    return (name_or_arn or "default").rsplit("/", 1)[-1]


def _time(given: Any) -> datetime | None:
    if given in (None, ""):
        return None
    if isinstance(given, str):
        return datetime.fromisoformat(given.replace("Z", "+00:00"))
    return given if isinstance(given, datetime) else datetime.fromtimestamp(float(given), UTC)
