"""A pipeline definition as data: what ``definition.parse`` returns and everything else reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

#: A value of a pipeline parameter.
Scalar = str | int | float | bool


@dataclass(frozen=True)
class Parameter:
    """A declared pipeline parameter; ``type`` is String, Integer, Float or Boolean."""

    name: str
    type: str
    default: Scalar | None = None
    enum: tuple[str, ...] = ()


@dataclass(frozen=True)
class PropertyFile:
    """A JSON file in a processing step's output that ``Std:JsonGet`` may read."""

    name: str
    output_name: str
    path: str


@dataclass(frozen=True)
class RetryPolicy:
    """When to run a failed step again; at most one of the two limits is set.

    Attributes:
        exception_types: e.g. ``SageMaker.JOB_INTERNAL_ERROR``.
        interval: seconds before the first retry.
        backoff: factor between one interval and the next.
        max_attempts: retries, the first run not counted; None means no such limit.
        expire_after: minutes since the step began after which no retry starts; None means no such limit.
    """

    exception_types: tuple[str, ...]
    interval: float = 1.0
    backoff: float = 2.0
    max_attempts: int | None = None
    expire_after: float | None = None


@dataclass(frozen=True)
class CacheConfig:
    """Whether a step may reuse an earlier run, and how old that may be (None: any age)."""

    enabled: bool = False
    expire_after: timedelta | None = None


@dataclass(frozen=True)
class Step:
    """One step, also those inside a condition's branches.

    Attributes:
        arguments: as written, expressions unresolved; a Condition's hold ``Conditions`` only.
        inside: the condition steps around it with the branch ("IfSteps" or "ElseSteps"), outermost first.
        function_arn: Lambda steps only.
        output_parameters: Lambda steps only: output name to String, Integer, Float or Boolean.
    """

    name: str
    type: str
    arguments: Mapping[str, Any]
    display_name: str = ""
    description: str = ""
    depends_on: tuple[str, ...] = ()
    inside: tuple[tuple[str, str], ...] = ()
    property_files: tuple[PropertyFile, ...] = ()
    cache: CacheConfig = field(default_factory=CacheConfig)
    retries: tuple[RetryPolicy, ...] = ()
    function_arn: Any = None
    output_parameters: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Definition:
    """A checked pipeline definition; steps are flattened, in the order of the document."""

    parameters: Mapping[str, Parameter]
    steps: Mapping[str, Step]
