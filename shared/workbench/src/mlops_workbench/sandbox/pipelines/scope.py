"""The values of expressions while an execution runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from mlops_workbench.sandbox.errors import suggest
from mlops_workbench.sandbox.pipelines.errors import ExpressionError
from mlops_workbench.sandbox.pipelines.expressions import lookup
from mlops_workbench.sandbox.pipelines.model import Definition, Scalar


def timestamp(seconds: float) -> str:
    """Return a time as the service writes it into an execution variable, e.g. 2026-01-31T09:30:00.000Z."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


class RunScope:
    """A ``Scope`` over what an execution knows by now."""

    def __init__(
        self,
        definition: Definition,
        parameters: Mapping[str, Scalar],
        variables: Mapping[str, str],
        properties: Mapping[str, Mapping[str, Any]],
        read_json: Callable[[str], Any],
    ) -> None:
        """Prepare a scope.

        Args:
            definition: declares the property files.
            parameters: every parameter's value.
            variables: execution variables, the step's own job name included.
            properties: of the steps that have succeeded.
            read_json: returns a JSON document in S3 by its URI, or raises ExpressionError.
        """
        self._definition = definition
        self._parameters = parameters
        self._variables = variables
        self._properties = properties
        self._read_json = read_json

    def parameter(self, name: str) -> Any:
        """Return a parameter's value."""
        return _find(self._parameters, name, f"Parameters.{name}")

    def execution(self, name: str) -> Any:
        """Return an execution variable."""
        if name == "CurrentDateTime":
            return timestamp(datetime.now(UTC).timestamp())
        return _find(self._variables, name, f"Execution.{name}")

    def step(self, name: str, tokens: Sequence[str | int]) -> Any:
        """Return a property of a step that has succeeded."""
        return lookup(_find(self._properties, name, f"Steps.{name}"), tokens, f"Steps.{name}")

    def property_file(self, step: str, name: str) -> Any:
        """Return a property file's content, read from where the step put that output."""
        declared = next(file for file in self._definition.steps[step].property_files if file.name == name)
        path = ("ProcessingOutputConfig", "Outputs", declared.output_name, "S3Output", "S3Uri")
        uri = str(self.step(step, path))
        return self._read_json(f"{uri.rstrip('/')}/{declared.path}")

    def document(self, s3_uri: str) -> Any:
        """Return a JSON document in S3."""
        return self._read_json(s3_uri)


def _find(values: Mapping[str, Any], name: str, where: str) -> Any:
    if name not in values:
        raise ExpressionError(f"{where}: it has no value (yet){suggest(name, values)}")
    return values[name]
