"""A pipeline definition as data: what ``definition.parse`` returns and everything else reads.

With it, how a definition can be wrong and how a step can end without success; the step types of SageMaker
Pipelines, which of them are executed here and which keys each may carry; and the parameters' types and
values.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from mlops_workbench.sandbox.errors import suggest

#: Executed by the sandbox.
EXECUTED = ("Processing", "Training", "Transform", "Condition", "Fail", "Lambda", "Model", "RegisterModel")

#: Known to the service (sagemaker 3.27.0 ``StepTypeEnum``, botocore's ``PipelineExecutionStepMetadata``), not
#: executed here: each needs a service that no local process stands for.
REFUSED = (
    "AutoML",
    "Athena",
    "BedrockCustomModel",
    "BedrockCustomModelDeployment",
    "BedrockModelImport",
    "BedrockProvisionedModelThroughput",
    "Callback",
    "ClarifyCheck",
    "Cleanup",
    "EMR",
    "EMRServerless",
    "Endpoint",
    "EndpointConfig",
    "ForEach",
    "HubContent",
    "InferenceComponent",
    "Job",
    "Lineage",
    "QualityCheck",
    "Tuning",
)

_EVERY = frozenset({"Name", "Type", "Arguments", "DependsOn", "DisplayName", "Description"})

#: The keys that a step of each type may carry; the service refuses any other ("unknown property").
KEYS: dict[str, frozenset[str]] = {
    "Processing": _EVERY | {"CacheConfig", "RetryPolicies", "PropertyFiles"},
    "Training": _EVERY | {"CacheConfig", "RetryPolicies"},
    "Transform": _EVERY | {"CacheConfig", "RetryPolicies"},
    "Model": _EVERY | {"RetryPolicies"},
    "RegisterModel": _EVERY | {"RetryPolicies"},
    "Lambda": _EVERY | {"CacheConfig", "FunctionArn", "OutputParameters"},
    "Condition": _EVERY,
    "Fail": _EVERY,
}

BRANCHES = ("IfSteps", "ElseSteps")
#: A value of a pipeline parameter.
Scalar = str | int | float | bool
TYPES = ("String", "Integer", "Float", "Boolean")
#: Characters of a value given to StartPipelineExecution (botocore: String1024).
MAX_VALUE = 1024


@dataclass(frozen=True)
class Problem:
    """One thing wrong with a definition, its parameters or a step's request.

    Attributes:
        where: what it concerns, e.g. ``step 'Train': Arguments.HyperParameters.epochs``.
        message: what was expected, what was found and what to do, in one line.
    """

    where: str
    message: str

    def __str__(self) -> str:
        """Return the problem as one line."""
        return f"{self.where}: {self.message}" if self.where else self.message


class DefinitionError(ValueError):
    """A definition or its parameters cannot be run; carries every problem found, one line each."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        """Join the problems into one message, a line each."""
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))


class ExpressionError(ValueError):
    """An expression has no value; the message is one line."""


class StepFailed(Exception):
    """A step that ended without success.

    Attributes:
        reason: the step's FailureReason.
        kind: the exception type as retry policies name it, e.g. ``SageMaker.JOB_INTERNAL_ERROR``; "" if none.
        last_lines: of the job's log, oldest first.
    """

    def __init__(self, reason: str, *, kind: str = "", last_lines: Sequence[str] = ()) -> None:
        """See the attributes."""
        super().__init__(reason)
        self.reason = reason
        self.kind = kind
        self.last_lines = list(last_lines)


class StepStopped(Exception):
    """A step that ended because its execution was stopped."""


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


def value_problem(parameter: Parameter, value: object) -> str:
    """Return what is wrong with a JSON value for a parameter, or ""."""
    fits = {
        "String": isinstance(value, str),
        "Integer": isinstance(value, int) and not isinstance(value, bool),
        "Float": isinstance(value, int | float) and not isinstance(value, bool),
        "Boolean": isinstance(value, bool),
    }[parameter.type]
    if not fits:
        return f"expected {_article(parameter.type)}, got {value!r}"
    if parameter.enum and value not in parameter.enum:
        return f"expected one of {', '.join(parameter.enum)}, got {value!r}"
    return ""


def from_text(parameter: Parameter, text: str) -> Scalar:
    """Convert the text that StartPipelineExecution carries to the parameter's type.

    Raises:
        ValueError: the text does not stand for a value of that type, or is not in the enum.
    """
    value: Scalar = text
    try:
        if parameter.type == "Integer":
            value = int(text)
        elif parameter.type == "Float":
            value = float(text)
        elif parameter.type == "Boolean":
            value = {"true": True, "false": False}[text.strip().lower()]
    except (ValueError, KeyError):
        raise ValueError(f"expected {_article(parameter.type)}, got {text!r}") from None
    if message := value_problem(parameter, value):
        raise ValueError(message)
    return value


def bind(
    definition: Definition, given: Iterable[tuple[str, str]], *, partial: bool = False
) -> dict[str, Scalar]:
    """Return the value of every parameter: the one given, else the default.

    Args:
        definition: declares the parameters.
        given: (name, text) pairs, as in StartPipelineExecution's PipelineParameters.
        partial: do not ask for the values that are missing.

    Raises:
        DefinitionError: a name is unknown or given twice, a value does not fit, or one is missing.
    """
    values, problems = _bind(definition, list(given))
    problems += [
        Problem(f"parameter '{name}'", f"expected a value, found none; it has no default: give {name}=…")
        for name in definition.parameters
        if not partial
        and name not in values
        and not any(problem.where == f"parameter '{name}'" for problem in problems)
    ]
    if problems:
        raise DefinitionError(problems)
    return values


def defaults(definition: Definition) -> dict[str, Scalar]:
    """Return the values of the parameters that have a default."""
    return {name: p.default for name, p in definition.parameters.items() if p.default is not None}


def _bind(
    definition: Definition, given: Sequence[tuple[str, str]]
) -> tuple[dict[str, Scalar], list[Problem]]:
    values: dict[str, Scalar] = defaults(definition)
    problems: list[Problem] = []
    seen: set[str] = set()
    declared: Mapping[str, Parameter] = definition.parameters
    for name, text in given:
        where = f"parameter '{name}'"
        if name not in declared:
            problems.append(
                Problem(where, f"the pipeline declares no such parameter{suggest(name, declared)}")
            )
        elif name in seen:
            problems.append(Problem(where, "given twice"))
        elif len(text) > MAX_VALUE:
            problems.append(Problem(where, f"expected at most {MAX_VALUE} characters, got {len(text)}"))
        else:
            try:
                values[name] = from_text(declared[name], text)
            except ValueError as error:
                problems.append(Problem(where, str(error)))
        seen.add(name)
    return values, problems


def _article(type_: str) -> str:
    return {
        "String": "a string",
        "Integer": "a whole number",
        "Float": "a number",
        "Boolean": "true or false",
    }[type_]
