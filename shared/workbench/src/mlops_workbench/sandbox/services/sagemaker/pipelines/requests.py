"""The Create* request of each step, and what is wrong with any of them before anything runs.

What is not known yet is an ``Unknown`` of the right kind. Every reference is judged on the way: parameters
and variables must exist, steps must exist, have that property and that output, and property files must be
declared.
"""

from __future__ import annotations

import re
import secrets
import string
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from mlops_workbench.sandbox.errors import suggest
from mlops_workbench.sandbox.services.sagemaker.pipelines.expressions import (
    Unknown,
    is_expression,
    lookup,
    resolve,
)
from mlops_workbench.sandbox.services.sagemaker.pipelines.model import (
    Definition,
    ExpressionError,
    Problem,
    Scalar,
    Step,
)
from mlops_workbench.sandbox.services.sagemaker.pipelines.shapes import (
    OPERATIONS,
    Operation,
    property_kind,
    request_problems,
)

#: sagemaker 3.27.0, ``ExecutionVariables``.
EXECUTION_VARIABLES = (
    "CurrentDateTime",
    "PipelineArn",
    "PipelineExecutionArn",
    "PipelineExecutionId",
    "PipelineName",
    "ProcessingJobName",
    "StartDateTime",
    "TrainingJobName",
)
#: Variables that name a step's own job: the step types in which they mean something.
JOB_VARIABLES = {"TrainingJobName": "Training", "ProcessingJobName": "Processing"}

_KINDS = {"String": "string", "Integer": "integer", "Float": "float", "Boolean": "boolean"}
#: Characters of a job's or a model's name (botocore: ProcessingJobName, TrainingJobName, ModelName, …).
MAX_NAME = 63

_ALPHABET = string.ascii_letters + string.digits


class PreviewScope:
    """A ``Scope`` for one step before the pipeline runs."""

    def __init__(
        self,
        definition: Definition,
        step: Step,
        values: Mapping[str, Scalar] | None = None,
        known_names: Collection[str] = (),
    ) -> None:
        """Prepare a scope.

        Args:
            definition: the whole definition.
            step: whose expressions are resolved.
            values: of parameters, where known; the others are Unknown.
            known_names: names of steps that exist but could not be read; nothing is said about them.
        """
        self._definition = definition
        self._step = step
        self._values = values or {}
        self._known = set(known_names)

    def parameter(self, name: str) -> Any:
        """Return a parameter's value, or Unknown if it has none yet."""
        parameter = self._definition.parameters.get(name)
        if parameter is None:
            near = suggest(name, self._definition.parameters)
            raise ExpressionError(f"Parameters.{name}: the pipeline declares no such parameter{near}")
        return self._values.get(name, Unknown(f"Parameters.{name}", _KINDS[parameter.type]))

    def execution(self, name: str) -> Any:
        """Return an Unknown string."""
        if name not in EXECUTION_VARIABLES:
            near = suggest(name, EXECUTION_VARIABLES)
            raise ExpressionError(f"Execution.{name}: there is no such execution variable{near}")
        if (wanted := JOB_VARIABLES.get(name, self._step.type)) != self._step.type:
            raise ExpressionError(f"Execution.{name}: it has a value in {wanted} steps only")
        return Unknown(f"Execution.{name}", "string")

    def step(self, name: str, tokens: Sequence[str | int]) -> Any:
        """Return an Unknown of the property's kind."""
        where = f"Steps.{name}"
        step = self._find(name)
        if step is None:
            return Unknown(where)
        if step.type in OPERATIONS:
            kind = property_kind(step.type, tuple(tokens), where)
            _check_item(step.arguments, tokens, where)
        else:
            kind = _other_kind(step, tokens, where)
        return Unknown(where + "".join(f"[{t}]" if isinstance(t, int) else f".{t}" for t in tokens), kind)

    def property_file(self, step: str, name: str) -> Any:
        """Return an Unknown, after checking that the file is declared in a declared output."""
        found = self._find(step)
        where = f"Steps.{step}.PropertyFiles.{name}"
        if found is None:
            return Unknown(where)
        files = {file.name: file for file in found.property_files}
        if name not in files:
            near = suggest(name, files) if files else "; it declares none"
            raise ExpressionError(f"{where}: the step declares no such property file{near}")
        return Unknown(where)

    def document(self, s3_uri: str) -> Any:
        """Return an Unknown."""
        return Unknown(s3_uri)

    def _find(self, name: str) -> Step | None:
        if name not in self._definition.steps and name not in self._known:
            near = suggest(name, self._definition.steps)
            raise ExpressionError(f"Steps.{name}: the pipeline has no such step{near}")
        return self._definition.steps.get(name)


def _other_kind(step: Step, tokens: Sequence[str | int], where: str) -> str:
    if step.type == "Condition" and tuple(tokens) == ("Outcome",):
        return "boolean"
    if step.type == "Lambda" and len(tokens) == 2 and tokens[0] == "OutputParameters":
        name = str(tokens[1])
        if name not in step.output_parameters:
            near = suggest(name, step.output_parameters) if step.output_parameters else "; it declares none"
            raise ExpressionError(f"{where}: the step declares no output {name!r}{near}")
        return _KINDS[step.output_parameters[name]]
    offered = {"Condition": "only Outcome", "Lambda": "only OutputParameters['NAME']"}.get(step.type, "none")
    raise ExpressionError(
        f"{where}: no property {'.'.join(map(str, tokens))!r}: a {step.type} step has {offered}"
    )


def _check_item(arguments: Any, tokens: Sequence[str | int], where: str) -> None:
    """Check names of list items against the step's own arguments, which its properties repeat."""
    value = arguments
    for token in tokens:
        if isinstance(value, list) and not any(is_expression(item) for item in value):
            value = lookup(value, [token], where)
        elif isinstance(value, Mapping) and not is_expression(value) and str(token) in value:
            value = value[str(token)]
        else:
            return
        where += f"[{token}]" if isinstance(token, int) else f".{token}"


def job_name(execution_id: str, step: str, prefix: str = "pipelines") -> str:
    """Return a job's name as the service makes it: ``pipelines-<execution>-<step>-<10 random characters>``.

    The step's name is cut so that the whole fits ``MAX_NAME``; what a job's name may not have becomes "-".
    """
    tail = "".join(secrets.choice(_ALPHABET) for _ in range(10))
    head = re.sub(r"[^A-Za-z0-9-]+", "-", f"{prefix}-{execution_id}-{step}")[: MAX_NAME - 1 - len(tail)]
    return f"{head.strip('-')}-{tail}"


def build(operation: Operation, arguments: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return the request of a step: its resolved arguments and the name that the pipeline gives it."""
    request = dict(arguments)
    if operation.name_key:
        request[operation.name_key] = name
    return request


def preview_problems(definition: Definition, values: Mapping[str, Scalar]) -> list[Problem]:
    """Return what is wrong with any step's request, as far as it can be told before anything runs.

    Args:
        definition: without problems of its own.
        values: of the parameters, where known.
    """
    found = []
    for step in definition.steps.values():
        if step.type in OPERATIONS:
            found += [
                Problem(f"step '{step.name}'", message) for message in _preview(definition, step, values)
            ]
    return found


def _preview(definition: Definition, step: Step, values: Mapping[str, Scalar]) -> list[str]:
    operation = OPERATIONS[step.type]
    try:
        arguments = resolve(step.arguments, PreviewScope(definition, step, values))
    except ExpressionError as error:
        return [str(error)]
    name = job_name("0" * 12, step.name, str(arguments.get(operation.name_key) or "pipelines"))
    return request_problems(operation, build(operation, arguments, name))
