"""Event source mappings of queues: moto calls the function within SendMessage, one message at a time.

Here ``mlops_sandbox.events.queues`` reads the queue, as Lambda does.
"""

from __future__ import annotations

from typing import Any

from moto.awslambda.models import EventSourceMapping, LambdaBackend
from moto.sqs.models import sqs_backends


def install() -> None:
    """Keep moto from calling functions itself, and wake the reader of queues."""
    create, describe = LambdaBackend.create_event_source_mapping, EventSourceMapping.get_configuration

    def create_event_source_mapping(self: LambdaBackend, spec: dict[str, Any]) -> EventSourceMapping:
        from mlops_sandbox.events import queues

        mapping = create(self, spec)
        # moto delivers to the mappings that are listed here.
        for queue in sqs_backends[self.account_id][self.region_name].queues.values():
            queue.lambda_event_source_mappings.clear()
        queues.wake()
        return mapping

    def get_configuration(self: EventSourceMapping) -> dict[str, Any]:
        # The window's default is part of every answer; moto leaves it out.
        return {"MaximumBatchingWindowInSeconds": 0, **describe(self)}

    LambdaBackend.create_event_source_mapping = create_event_source_mapping  # type: ignore[method-assign]
    EventSourceMapping.get_configuration = get_configuration  # type: ignore[method-assign]
