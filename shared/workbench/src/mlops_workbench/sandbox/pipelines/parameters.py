"""Pipeline parameters: their types, and the values of one execution."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from mlops_workbench.sandbox.errors import suggest
from mlops_workbench.sandbox.pipelines.errors import DefinitionError, Problem
from mlops_workbench.sandbox.pipelines.model import Definition, Parameter, Scalar

TYPES = ("String", "Integer", "Float", "Boolean")
#: Characters of a value given to StartPipelineExecution (botocore: String1024).
MAX_VALUE = 1024


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
