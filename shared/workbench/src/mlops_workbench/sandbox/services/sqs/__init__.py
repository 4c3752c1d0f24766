"""Amazon SQS: attributes of queues, in the form in which SQS returns them.

The service gives a redrive policy without blanks: with moto's blanks Terraform waits for a value that
never comes, and then wants to change it. moto 5.2.5 keeps a redrive allow policy but returns none, and
forgets a queue's policy at every SetQueueAttributes that does not name it.
"""

from __future__ import annotations

import json
from typing import Any

from moto.sqs.models import Queue

from mlops_workbench.sandbox.service import Service

_POLICIES = {"RedrivePolicy": "redrive_policy", "RedriveAllowPolicy": "redrive_allow_policy"}


def install() -> None:
    """Patch what SetQueueAttributes keeps and GetQueueAttributes returns."""
    moto: Any = Queue.attributes
    set_attributes = Queue._set_attributes

    def attributes(self: Queue) -> dict[str, Any]:
        found: dict[str, Any] = moto.fget(self)
        for name, attribute in _POLICIES.items():
            # moto keeps the one as text and the other parsed.
            policy = found.get(name) or getattr(self, attribute, None)
            if policy:
                parsed = json.loads(policy) if isinstance(policy, str) else policy
                found[name] = json.dumps(parsed, separators=(",", ":"))
            else:
                found.pop(name, None)
        return found

    def _set_attributes(self: Queue, attributes: dict[str, Any], now: float | None = None) -> None:
        policy = getattr(self, "policy", None)
        set_attributes(self, attributes, now)
        if "Policy" not in attributes:
            self.policy = policy

    Queue.BASE_ATTRIBUTES = [*Queue.BASE_ATTRIBUTES, "RedriveAllowPolicy"]
    Queue.redrive_allow_policy = None  # type: ignore[attr-defined]
    Queue.attributes = property(attributes)  # type: ignore[assignment,method-assign]
    Queue._set_attributes = _set_attributes  # type: ignore[method-assign]


class Sqs(Service):
    """Queues."""

    def install(self) -> None:
        """Patch moto."""
        install()


SERVICE = Sqs()
