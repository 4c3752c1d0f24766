"""Judging a step's request and properties by the service's own shapes: botocore's model of SageMaker.

A step of a pipeline carries the arguments of a Create* call, and its properties are the answer of the
matching Describe* call (AWS, "Step properties"). Both shapes are read from botocore, and are as new as
that. A request is held against botocore's ParamValidator, then against ``constraints``; values that are
known only when the pipeline runs take part as stand-ins of the right type.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from botocore.validate import ParamValidator

from mlops_workbench.sandbox import constraints
from mlops_workbench.sandbox.constraints import answer_shape, request_shape
from mlops_workbench.sandbox.errors import suggest
from mlops_workbench.sandbox.services.sagemaker.jobs import transform_rules
from mlops_workbench.sandbox.services.sagemaker.pipelines.expressions import Unknown
from mlops_workbench.sandbox.services.sagemaker.pipelines.model import ExpressionError


@dataclass(frozen=True)
class Operation:
    """What a step's type calls.

    Attributes:
        create: the operation that its arguments are for.
        describe: the operation whose answer its properties are.
        name_key: the argument that the pipeline fills with a name of its own; "" if it fills none.
        resource: the resource type in the ARN, e.g. ``processing-job``.
        metadata: its member of a step's Metadata in ListPipelineExecutionSteps.
    """

    create: str
    describe: str
    name_key: str
    resource: str
    metadata: str


OPERATIONS: Mapping[str, Operation] = {
    "Processing": Operation(
        "CreateProcessingJob", "DescribeProcessingJob", "ProcessingJobName", "processing-job", "ProcessingJob"
    ),
    "Training": Operation(
        "CreateTrainingJob", "DescribeTrainingJob", "TrainingJobName", "training-job", "TrainingJob"
    ),
    "Transform": Operation(
        "CreateTransformJob", "DescribeTransformJob", "TransformJobName", "transform-job", "TransformJob"
    ),
    "Model": Operation("CreateModel", "DescribeModel", "ModelName", "model", "Model"),
    "RegisterModel": Operation(
        "CreateModelPackage", "DescribeModelPackage", "", "model-package", "RegisterModel"
    ),
}


def property_kind(step_type: str, tokens: tuple[str | int, ...], where: str) -> str:
    """Return botocore's type name ("string", "integer", "structure", …) of a step's property.

    Args:
        step_type: one of ``OPERATIONS``.
        tokens: the property's path, parsed.
        where: how to name the step in an error.

    Raises:
        ExpressionError: the Describe* answer has no such member.
    """
    describe = OPERATIONS[step_type].describe
    shape: Any = answer_shape(describe)
    for token in tokens:
        if shape.type_name == "structure" and str(token) in shape.members:
            shape = shape.members[str(token)]
        elif shape.type_name == "structure":
            near = suggest(str(token), shape.members)
            raise ExpressionError(f'{where}: {describe} answers no "{token}"{near}')
        elif shape.type_name == "list":
            shape = shape.member
        elif shape.type_name == "map":
            shape = shape.value
        else:
            raise ExpressionError(f'{where}: no "{token}" in it: it is a {shape.type_name}')
        where += f"[{token}]" if isinstance(token, int) else f".{token}"
    return str(shape.type_name)


def request_problems(operation: Operation, request: Mapping[str, Any]) -> list[str]:
    """Return what is wrong with a request, one line each; values still unknown are judged by their kind."""
    shape = request_shape(operation.create)
    filled = _fill(request, shape)
    lines = ParamValidator().validate(filled, shape).generate_report().splitlines()
    messages = [f"{operation.create}: {_readable(line)}" for line in lines]
    messages += [
        f"{operation.create}: {path}: {message}" for path, message in constraints.problems(shape, filled)
    ]
    if operation.create == "CreateTransformJob" and not messages:
        messages = [f"{operation.create}: {message}" for message in transform_rules.problems(filled)]
    return messages


class _Text(str):
    """A string that stands in for one not known yet."""

    standin = True


class _Number(int):
    """A number that stands in for one not known yet; in an error it shows where the number will come from."""

    standin = True
    source = ""

    def __str__(self) -> str:
        return self.source

    __repr__ = __str__


def _fill(value: Any, shape: Any) -> Any:
    """Return a value with each Unknown replaced by a stand-in that ParamValidator can judge."""
    if isinstance(value, Unknown):
        return _standin(value, shape)
    if isinstance(value, Mapping):
        members = getattr(shape, "members", {}) if shape is not None else {}
        item_shape = getattr(shape, "value", None) if shape is not None and shape.type_name == "map" else None
        return {key: _fill(item, item_shape or members.get(key)) for key, item in value.items()}
    if isinstance(value, list):
        member = shape.member if shape is not None and shape.type_name == "list" else None
        return [_fill(item, member) for item in value]
    return value


def _standin(value: Unknown, shape: Any) -> Any:
    # The kind of what will come, where it can be told; else whatever the request wants there.
    kind = value.kind or (shape.type_name if shape is not None else "string")
    smallest = int(shape.metadata.get("min", 1)) if shape is not None else 1
    if kind in ("string", "timestamp"):
        return _Text(value.source.ljust(smallest, "."))
    if kind in ("integer", "long", "float", "double"):
        number = _Number(max(1, smallest))
        number.source = value.source
        return number
    if kind == "boolean":
        return True
    return _sample(shape) if shape is not None else {}


def _sample(shape: Any) -> Any:
    """Return the smallest value of a shape that passes validation, for a structure passed on whole."""
    if shape.type_name == "structure":
        return {key: _sample(shape.members[key]) for key in shape.required_members}
    if shape.type_name == "list":
        return [_sample(shape.member) for _ in range(int(shape.metadata.get("min", 0)))]
    if shape.type_name == "map":
        return {}
    return _standin(Unknown("", shape.type_name), shape)


def _type_error(match: re.Match[str]) -> str:
    names = re.findall(r"<class '([\w.]+)'>", match["valid"])
    wanted = " or ".join({"str": "a string", "int": "a whole number"}.get(name, name) for name in names)
    hint = ""
    if "str" in names and match["found"] != "str":
        hint = '; a parameter of another type needs {"Std:Join": {"On": "", "Values": […]}} around it'
    module = re.escape(__name__)
    found = re.sub(
        rf"{module}\._(Text|Number)", lambda name: {"Text": "str"}.get(name[1], "int"), match["found"]
    )
    return f"{match['path']}: expected {wanted}, got {match['value']} ({found}){hint}"


def _unknown_key(match: re.Match[str]) -> str:
    return f"{_member(match)}: unknown key{suggest(match['key'], match['known'].split(', '))}"


def _missing(match: re.Match[str]) -> str:
    return f"{_member(match)}: required, found nothing"


def _too_small(match: re.Match[str]) -> str:
    unit = " in length" if match["what"] == "length" else ""
    return f"{match['path']}: expected at least {match['least']}{unit}, got {match['value']}"


def _member(match: re.Match[str]) -> str:
    # botocore calls the request itself "input" where a key is unknown, and nothing where one is missing.
    return match["key"] if match["path"] in ("", "input") else f"{match['path']}.{match['key']}"


#: botocore's sentences (1.44.5, ``validate.ValidationErrors``), and ours.
_SENTENCES: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], str]], ...] = (
    (
        re.compile(
            r"Invalid type for parameter (?P<path>.*), value: (?P<value>.*), type: <class '(?P<found>.*)'>, "
            r"valid types: (?P<valid>.*)"
        ),
        _type_error,
    ),
    (
        re.compile(r'Unknown parameter in (?P<path>.*): "(?P<key>.*)", must be one of: (?P<known>.*)'),
        _unknown_key,
    ),
    (re.compile(r'Missing required parameter in (?P<path>.*): "(?P<key>.*)"'), _missing),
    (
        re.compile(
            r"Invalid (?P<what>length|range|value) for parameter (?P<path>.*), value: (?P<value>.*), "
            r"valid min (?:length|value): (?P<least>.*)"
        ),
        _too_small,
    ),
)


def _readable(line: str) -> str:
    """Return one line of ParamValidator's report as a sentence of ours; one that we do not know as it is."""
    for pattern, sentence in _SENTENCES:
        if match := pattern.fullmatch(line):
            return sentence(match)
    return line
