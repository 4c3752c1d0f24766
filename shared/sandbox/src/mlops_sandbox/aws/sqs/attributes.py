"""Attributes of queues, in the form in which SQS returns them.

The service gives a redrive policy without blanks. With moto's blanks Terraform waits for a value that never
comes, and then wants to change it.
"""

from __future__ import annotations

import json
from typing import Any

from moto.sqs.models import Queue


def install() -> None:
    """Patch what GetQueueAttributes returns."""
    moto: Any = Queue.attributes

    def attributes(self: Queue) -> dict[str, Any]:
        found: dict[str, Any] = moto.fget(self)
        if policy := found.get("RedrivePolicy"):
            found["RedrivePolicy"] = json.dumps(json.loads(policy), separators=(",", ":"))
        return found

    Queue.attributes = property(attributes)  # type: ignore[assignment,method-assign]
