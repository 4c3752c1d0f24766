"""What was delivered where, and which mails would have been sent; for people to look at."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime

#: So many of each are remembered, the newest.
LIMIT = 500

NO_RULE = "no rule"
DELIVERED = "delivered"


@dataclass(frozen=True)
class Delivery:
    """An event that one target got, or that nobody wanted.

    Attributes:
        summary: the event in a few words: object, model package, pipeline and its status.
        rule, target: ARNs; "" if no rule matched.
        outcome: "delivered", "no rule", or "failed: …".
    """

    time: datetime
    account: str
    region: str
    source: str
    detail_type: str
    summary: str
    rule: str
    target: str
    outcome: str


@dataclass(frozen=True)
class Mail:
    """A message to an e-mail subscription of a topic; nothing leaves this machine."""

    time: datetime
    to: str
    subject: str
    body: str
    topic: str


def now() -> datetime:
    """Return the time as the records carry it."""
    return datetime.now(UTC)


class History:
    """What an open sandbox remembers, the newest ``LIMIT`` of each."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._deliveries: deque[Delivery] = deque(maxlen=LIMIT)
        self._mails: deque[Mail] = deque(maxlen=LIMIT)

    def record(self, entry: Delivery | Mail) -> None:
        """Remember a delivery or a mail."""
        with self._lock:
            if isinstance(entry, Delivery):
                self._deliveries.append(entry)
            else:
                self._mails.append(entry)

    def deliveries(self) -> list[Delivery]:
        """Return what was delivered since the sandbox was opened, oldest first."""
        with self._lock:
            return list(self._deliveries)

    def mails(self) -> list[Mail]:
        """Return the mails since the sandbox was opened, oldest first."""
        with self._lock:
            return list(self._mails)
