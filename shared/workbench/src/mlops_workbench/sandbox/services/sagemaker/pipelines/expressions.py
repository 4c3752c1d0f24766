"""Expressions in a definition: ``Get``, ``Std:Join`` and ``Std:JsonGet``, nested anywhere.

Nothing here touches S3 or a job: values come from a ``Scope``. A value that is known only once the pipeline
runs is an ``Unknown``, so the same code resolves a request for real and for the checks before anything runs.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from mlops_workbench.sandbox.errors import suggest
from mlops_workbench.sandbox.services.sagemaker.pipelines.model import ExpressionError

OPERATORS = ("Get", "Std:Join", "Std:JsonGet")

#: Members that name an item of a list in SageMaker's answers: Outputs['train'] looks for OutputName "train".
NAMING_KEYS = ("OutputName", "InputName", "ChannelName", "MetricName", "Name")

_TOKEN = re.compile(
    r"\.?(?P<plain>[^.\[\]'\"]+)|\[(?P<index>\d+)\]|\[(?P<quote>['\"])(?P<name>.*?)(?P=quote)\]"
)


@dataclass(frozen=True)
class Unknown:
    """A value that is known only when the pipeline runs.

    Attributes:
        source: what it will come from, e.g. ``Steps.Train.ModelArtifacts.S3ModelArtifacts``.
        kind: botocore's name of its type ("string", "integer", "structure", …); "" when it cannot be told.
    """

    source: str
    kind: str = ""


@dataclass(frozen=True)
class Reference:
    """A ``Get`` as found in a definition: its path, and where it stands."""

    path: str
    where: str

    @property
    def root(self) -> str:
        """Return Parameters, Execution, Steps, or whatever stands first."""
        return self.path.split(".", 1)[0]

    @property
    def name(self) -> str:
        """Return the parameter's, the variable's or the step's name."""
        rest = self.path.split(".", 1)[1] if "." in self.path else ""
        return re.split(r"[.\[]", rest, maxsplit=1)[0] if self.root == "Steps" else rest

    @property
    def tokens(self) -> tuple[str | int, ...]:
        """Return what follows a step's name, parsed; see ``parse_path``."""
        return parse_path(self.path.split(".", 1)[1])[1:]


class Scope(Protocol):
    """Where expressions find their values; each method raises ExpressionError when there is none."""

    def parameter(self, name: str) -> Any:
        """Return a pipeline parameter's value."""

    def execution(self, name: str) -> Any:
        """Return an execution variable, e.g. PipelineExecutionId."""

    def step(self, name: str, tokens: Sequence[str | int]) -> Any:
        """Return a step's property."""

    def property_file(self, step: str, name: str) -> Any:
        """Return a property file's content, parsed."""

    def document(self, s3_uri: str) -> Any:
        """Return a JSON document in S3, parsed."""


def is_expression(value: Any) -> bool:
    """Tell whether a value is an expression: an object with a single key that is an operator."""
    return isinstance(value, Mapping) and len(value) == 1 and next(iter(value)) in OPERATORS


def parse_path(path: str) -> tuple[str | int, ...]:
    """Split ``Outputs['train'].S3Output[0]`` into ("Outputs", "train", "S3Output", 0).

    Raises:
        ExpressionError: it is not a path.
    """
    tokens: list[str | int] = []
    position = 0
    path = path.removeprefix("$")
    while position < len(path):
        match = _TOKEN.match(path, position)
        if not match:
            raise ExpressionError(f"expected a path such as a.b['c'][0], got {path!r}")
        index = match["index"]
        tokens.append(int(index) if index is not None else match["plain"] or match["name"] or "")
        position = match.end()
    return tuple(tokens)


def lookup(value: Any, tokens: Sequence[str | int], where: str) -> Any:
    """Follow a path into an answer: a member, an item by position, or an item by its name (``NAMING_KEYS``).

    Raises:
        ExpressionError: the path leads nowhere; the message names the part that is missing and what there is.
    """
    at = where
    for token in tokens:
        if isinstance(value, Unknown):
            return Unknown(where)
        if isinstance(value, Mapping) and str(token) in value:
            value = value[str(token)]
        elif isinstance(value, list):
            value = _item(value, token, at)
        elif isinstance(value, Mapping):
            raise ExpressionError(f'{at}: no "{token}"{suggest(str(token), map(str, value))}')
        else:
            raise ExpressionError(f'{at}: no "{token}" in it: it is {_shown(value)}, not an object or a list')
        at += f"[{token}]" if isinstance(token, int) else f".{token}"
    return value


def _item(items: list[Any], token: str | int, at: str) -> Any:
    if isinstance(token, int) or token.isdigit():
        if int(token) < len(items):
            return items[int(token)]
        raise ExpressionError(f"{at}: no item {token}; it has {len(items)}")
    names = []
    for item in items:
        for key in NAMING_KEYS:
            if isinstance(item, Mapping) and isinstance(item.get(key), str):
                if item[key] == token:
                    return item
                names.append(item[key])
    raise ExpressionError(f"{at}: no item named {token!r}{suggest(token, names)}")


def references(value: Any, where: str = "") -> Iterator[Reference]:
    """Yield every ``Get`` in a value, those inside other expressions too, in document order."""
    if isinstance(value, Mapping):
        if is_expression(value) and isinstance(value.get("Get"), str):
            yield Reference(value["Get"], where)
            return
        for key, item in value.items():
            yield from references(
                item, where if key in OPERATORS else f"{where}.{key}" if where else str(key)
            )
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from references(item, f"{where}[{number}]")


def outermost(value: Any, where: str = "") -> Iterator[tuple[str, Any]]:
    """Yield (where, expression) for every expression that does not stand inside another one."""
    if is_expression(value):
        yield where, value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from outermost(item, f"{where}.{key}" if where else str(key))
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from outermost(item, f"{where}[{number}]")


def resolve(value: Any, scope: Scope) -> Any:
    """Return a value with every expression in it replaced.

    Raises:
        ExpressionError: an expression is malformed or has no value.
    """
    if isinstance(value, list):
        return [resolve(item, scope) for item in value]
    if not isinstance(value, Mapping):
        return value
    if not is_expression(value):
        return {key: resolve(item, scope) for key, item in value.items()}
    ((operator, body),) = value.items()
    return {"Get": _get, "Std:Join": _join, "Std:JsonGet": _json_get}[operator](body, scope)


def _get(path: Any, scope: Scope) -> Any:
    if not isinstance(path, str) or "." not in path:
        raise ExpressionError(f"Get: expected a path such as Parameters.NAME, got {path!r}")
    reference = Reference(path, "")
    if reference.root == "Parameters":
        return scope.parameter(reference.name)
    if reference.root == "Execution":
        return scope.execution(reference.name)
    if reference.root == "Steps":
        return scope.step(reference.name, reference.tokens)
    raise ExpressionError(f"Get {path}: expected a path that begins with Parameters, Execution or Steps")


def _join(body: Any, scope: Scope) -> Any:
    if not isinstance(body, Mapping) or set(body) != {"On", "Values"} or not isinstance(body["Values"], list):
        raise ExpressionError(f"Std:Join: expected On and a list of Values, got {json.dumps(body)}")
    separator = resolve(body["On"], scope)
    values = [resolve(item, scope) for item in body["Values"]]
    unknown = [item.source for item in values if isinstance(item, Unknown)]
    if unknown:
        return Unknown("Std:Join of " + ", ".join(unknown), "string")
    return str(separator).join(as_text(item) for item in values)


def as_text(value: Any) -> str:
    """Return a scalar as the service writes it into a string: booleans in lower case.

    Raises:
        ExpressionError: it is not a string, number or boolean.
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int | float):
        return str(value)
    raise ExpressionError(f"Std:Join: expected a string, number or boolean, got {_shown(value)}")


def _json_get(body: Any, scope: Scope) -> Any:
    sources = {"PropertyFile", "S3Uri"} & set(body) if isinstance(body, Mapping) else set()
    if len(sources) != 1 or set(body) - sources != {"Path"} or not isinstance(body["Path"], str):
        raise ExpressionError(
            f"Std:JsonGet: expected Path and one of PropertyFile and S3Uri, got {json.dumps(body)}"
        )
    if "S3Uri" in body:
        uri = resolve(body["S3Uri"], scope)
        document, where = (
            (Unknown("") if isinstance(uri, Unknown) else scope.document(uri)),
            f"Std:JsonGet of {uri}",
        )
    else:
        step, name = property_file_of(body["PropertyFile"])
        document, where = (
            scope.property_file(step, name),
            f"Std:JsonGet of property file {name} of step '{step}'",
        )
    if isinstance(document, Unknown):
        return Unknown(f"{where} at {body['Path']}")
    return lookup(document, parse_path(body["Path"]), where)


def property_file_of(value: Any) -> tuple[str, str]:
    """Return (step, property file) of ``{"Get": "Steps.STEP.PropertyFiles.NAME"}`` or of the path alone.

    Raises:
        ExpressionError: it is neither.
    """
    path = value.get("Get") if isinstance(value, Mapping) else value
    match = re.fullmatch(r"Steps\.([^.\[\]]+)\.PropertyFiles\.(.+)", path) if isinstance(path, str) else None
    if not match:
        raise ExpressionError(
            f"Std:JsonGet: PropertyFile: expected a Get of Steps.STEP.PropertyFiles.NAME, got {_shown(value)}"
        )
    return match[1], match[2]


def _shown(value: Any) -> str:
    text = json.dumps(value, default=str)
    return text if len(text) <= 60 else text[:57] + "…"
