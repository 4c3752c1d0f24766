"""PutTargets: the limits of a pipeline's parameters, which moto does not look at.

An underscore in a name is taken by CreatePipeline and by StartPipelineExecution, and refused by EventBridge.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import botocore.session
from moto.events.exceptions import ValidationException
from moto.events.models import EventsBackend

from mlops_workbench.sandbox.pipelines import constraints

_KEY = "SageMakerPipelineParameters"


@cache
def _shape() -> Any:
    service: Any = botocore.session.get_session().get_service_model("events")
    return service.operation_model("PutTargets").input_shape.members["Targets"].member.members[_KEY]


def install() -> None:
    """Check targets before moto keeps them."""
    put = EventsBackend.put_targets

    def put_targets(
        self: EventsBackend, name: str, event_bus_arn: str | None, targets: list[dict[str, Any]]
    ) -> None:
        for target in targets:
            for path, message in constraints.problems(_shape(), target.get(_KEY) or {}, _KEY):
                raise ValidationException(f"target {target['Id']}: {path}: {message}")
        put(self, name, event_bus_arn, targets)

    EventsBackend.put_targets = put_targets  # type: ignore[method-assign]
