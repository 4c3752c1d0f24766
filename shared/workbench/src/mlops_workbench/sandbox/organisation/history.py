"""EventBridge's latest events: the process of the sandbox remembers them, and its page hands them out."""

from __future__ import annotations

import json
import urllib.request

from mlops_workbench.sandbox.organisation.overview import Event
from mlops_workbench.sandbox.organisation.record import Organisation
from mlops_workbench.sandbox.organisation.times import iso
from mlops_workbench.sandbox.session import current

#: How many are shown, the newest.
LIMIT = 50


def recent() -> list[Event]:
    """Return the latest events of this process's sandbox, the newest first."""
    return [
        Event(
            iso(entry.time),
            entry.account,
            entry.source,
            entry.detail_type,
            entry.summary,
            _outcome(entry.rule, entry.target, entry.outcome),
        )
        for entry in reversed(current().history.deliveries()[-LIMIT:])
    ]


def ask(organisation: Organisation) -> list[Event]:
    """Return the latest events of an organisation that runs in another process, the newest first.

    Raises:
        OSError: its page does not answer.
    """
    # Not a person's proxy: it cannot reach this machine's loopback.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(organisation.page + "events.json", timeout=10) as answer:
        return [Event(**entry) for entry in json.load(answer)]


def _outcome(rule: str, target: str, outcome: str) -> str:
    if not rule:
        return outcome
    # ARNs are long, and their last part says it: the rule, and the pipeline or function that got the event.
    short = f"{rule.rsplit('/', 1)[-1]} → {target.rsplit('/', 1)[-1].rsplit(':', 1)[-1]}"
    return short if outcome == "delivered" else f"{short}: {outcome}"
