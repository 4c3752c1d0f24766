"""Event source mappings of queues: moto calls the function within SendMessage, one message at a time.

Here ``mlops_workbench.sandbox.events.queues`` reads the queue, as Lambda does.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from moto.awslambda.models import EventSourceMapping, LambdaBackend
from moto.sqs.models import sqs_backends

from mlops_workbench.sandbox.events import queues


def install() -> None:
    """Keep moto from calling functions itself, and wake the reader of queues."""
    create, describe = LambdaBackend.create_event_source_mapping, EventSourceMapping.get_configuration
    list_all = LambdaBackend.list_event_source_mappings

    def create_event_source_mapping(self: LambdaBackend, spec: dict[str, Any]) -> EventSourceMapping:
        mapping = create(self, spec)
        # moto delivers to the mappings that are listed here.
        for queue in sqs_backends[self.account_id][self.region_name].queues.values():
            queue.lambda_event_source_mappings.clear()
        queues.wake()
        return mapping

    def list_event_source_mappings(
        self: LambdaBackend, event_source_arn: str, function_name: str
    ) -> Iterable[EventSourceMapping]:
        # A function may be named by its name or its ARN, in the mapping and in the question.
        found = list_all(self, event_source_arn, "")
        wanted = (function_name or "").rsplit(":", 1)[-1]
        return [each for each in found if wanted in ("", each.function_arn.rsplit(":", 1)[-1])]

    def get_configuration(self: EventSourceMapping) -> dict[str, Any]:
        # The window's default is part of every answer; moto leaves it out.
        return {"MaximumBatchingWindowInSeconds": 0, **describe(self)}

    LambdaBackend.create_event_source_mapping = create_event_source_mapping  # type: ignore[method-assign]
    LambdaBackend.list_event_source_mappings = list_event_source_mappings  # type: ignore[method-assign]
    EventSourceMapping.get_configuration = get_configuration  # type: ignore[method-assign]
