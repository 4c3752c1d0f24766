"""Reading a pipeline definition: its structure, then how its steps refer to each other.

Every problem is reported at once. The rules are the service's: CreatePipeline refuses unknown properties,
duplicate names, and references that lead nowhere; cycles, and branches that exclude each other.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from mlops_workbench.sandbox.errors import suggest
from mlops_workbench.sandbox.services.sagemaker.pipelines import conditions, graph
from mlops_workbench.sandbox.services.sagemaker.pipelines.expressions import is_expression, outermost, resolve
from mlops_workbench.sandbox.services.sagemaker.pipelines.model import (
    BRANCHES,
    EXECUTED,
    KEYS,
    REFUSED,
    TYPES,
    CacheConfig,
    Definition,
    DefinitionError,
    ExpressionError,
    Parameter,
    Problem,
    PropertyFile,
    RetryPolicy,
    Step,
    value_problem,
)
from mlops_workbench.sandbox.services.sagemaker.pipelines.policies import read_cache, read_retries
from mlops_workbench.sandbox.services.sagemaker.pipelines.requests import PreviewScope

VERSION = "2020-12-01"
#: Characters of an inline definition (botocore: PipelineDefinition).
MAX_CHARACTERS = 1_048_576

_TOP_KEYS = ("Version", "Metadata", "Parameters", "PipelineExperimentConfig", "MlflowConfig", "Steps")
_PARAMETER_NAME = re.compile(r"[A-Za-z0-9\-_]{1,256}")
_STEP_NAME = re.compile(r"[A-Za-z0-9\-_]{1,64}")


def parse(text: str | bytes) -> Definition:
    """Read and check a definition.

    Raises:
        DefinitionError: with every problem, one line each.
    """
    if len(text) > MAX_CHARACTERS:
        message = f"expected at most {MAX_CHARACTERS:,} characters, found {len(text):,}"
        raise DefinitionError([Problem("definition", message)])
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DefinitionError([Problem("definition", f"not JSON: {error}")]) from None
    return from_document(document)


def from_document(document: Any) -> Definition:
    """Check a definition that is already parsed; errors as in ``parse``."""
    if not isinstance(document, Mapping):
        raise DefinitionError([Problem("definition", f"expected an object, got {_kind(document)}")])
    reader = _Reader()
    reader.top(document)
    parameters = reader.parameters(document.get("Parameters") or [])
    reader.steps(document.get("Steps"), "Steps", ())
    if not reader.found and not reader.problems:
        reader.problem("Steps", "expected at least one step, found none")
    definition = Definition(parameters, reader.found)
    # References can be judged only once every step that exists is known.
    problems = reader.problems + list(problems_of(definition, known_names=reader.names))
    if problems:
        raise DefinitionError(problems)
    return definition


class _Reader:
    """Collects steps and problems while it walks a definition."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self.found: dict[str, Step] = {}
        self.names: set[str] = set()

    def problem(self, where: str, message: str) -> None:
        self.problems.append(Problem(where, message))

    def top(self, document: Mapping[str, Any]) -> None:
        for key in document:
            if key not in _TOP_KEYS:
                self.problem(key, f"unknown key{suggest(key, _TOP_KEYS)}")
        if document.get("Version") != VERSION:
            self.problem("Version", f'expected "{VERSION}", got {document.get("Version")!r}')

    def parameters(self, entries: Any) -> dict[str, Parameter]:
        parameters: dict[str, Parameter] = {}
        if not isinstance(entries, list):
            self.problem("Parameters", f"expected a list, got {_kind(entries)}")
            return parameters
        for number, entry in enumerate(entries):
            parameter = self._parameter(f"Parameters[{number}]", entry)
            if parameter and parameter.name in parameters:
                self.problem(f"parameter '{parameter.name}'", "declared twice; names must be unique")
            elif parameter:
                parameters[parameter.name] = parameter
        return parameters

    def _parameter(self, where: str, entry: Any) -> Parameter | None:
        if not isinstance(entry, Mapping):
            self.problem(where, f"expected an object, got {_kind(entry)}")
            return None
        name, type_ = entry.get("Name"), entry.get("Type")
        if not isinstance(name, str) or not _PARAMETER_NAME.fullmatch(name):
            self.problem(f"{where}.Name", f"expected 1 to 256 of A-Z a-z 0-9 - _, got {name!r}")
            return None
        where = f"parameter '{name}'"
        known = ("Name", "Type", "DefaultValue", "EnumValues")
        for key in entry:
            if key not in known:
                self.problem(where, f"{key}: unknown key{suggest(key, known)}")
        if not isinstance(type_, str) or type_ not in TYPES:
            self.problem(where, f"Type: expected one of {', '.join(TYPES)}, got {type_!r}")
            # Kept as a string, so that its references do not count as dangling too.
            return Parameter(name, "String")
        enum = entry.get("EnumValues") or []
        if not isinstance(enum, list) or not all(isinstance(item, str) for item in enum):
            self.problem(where, f"EnumValues: expected a list of strings, got {enum!r}")
            enum = []
        parameter = Parameter(name, type_, entry.get("DefaultValue"), tuple(enum))
        if parameter.default is not None and (message := value_problem(parameter, parameter.default)):
            self.problem(where, f"DefaultValue: {message}")
        return parameter

    def steps(self, entries: Any, where: str, inside: tuple[tuple[str, str], ...]) -> None:
        if not isinstance(entries, list):
            self.problem(where, f"expected a list of steps, got {_kind(entries)}")
            return
        for number, entry in enumerate(entries):
            self._step(entry, f"{where}[{number}]", inside)

    def _step(self, entry: Any, where: str, inside: tuple[tuple[str, str], ...]) -> None:
        if not isinstance(entry, Mapping):
            self.problem(where, f"expected an object, got {_kind(entry)}")
            return
        name, type_, arguments = entry.get("Name"), entry.get("Type"), entry.get("Arguments", {})
        if not isinstance(name, str) or not _STEP_NAME.fullmatch(name):
            self.problem(f"{where}.Name", f"expected 1 to 64 of A-Z a-z 0-9 - _, got {name!r}")
            return
        where = f"step '{name}'"
        if name in self.names:
            self.problem(where, "two steps have this name; names must be unique, branches included")
            return
        self.names.add(name)
        message = _type_problem(type_)
        if message or not isinstance(type_, str):
            self.problem(where, message)
            return
        for key in entry:
            if key not in KEYS[type_]:
                self.problem(where, f"{key}: unknown key for a {type_} step{suggest(key, KEYS[type_])}")
        if not isinstance(arguments, Mapping):
            self.problem(where, f"Arguments: expected an object, got {_kind(arguments)}")
            arguments = {}
        self.found[name] = self._read(entry, name, type_, arguments, inside)
        if type_ == "Condition":
            for branch in BRANCHES:
                self.steps(arguments.get(branch) or [], f"{where}: {branch}", (*inside, (name, branch)))

    def _read(
        self, entry: Mapping[str, Any], name: str, type_: str, arguments: Mapping[str, Any], inside: Any
    ) -> Step:
        where = f"step '{name}'"
        cache = CacheConfig()
        retries: tuple[RetryPolicy, ...] = ()
        found: list[tuple[str, str]] = []
        if entry.get("CacheConfig") is not None:
            cache, problems = read_cache(entry["CacheConfig"])
            found += problems
        if entry.get("RetryPolicies") is not None:
            retries, problems = read_retries(entry["RetryPolicies"])
            found += problems
        files = list(_property_files(entry.get("PropertyFiles") or [], found))
        outputs = dict(_output_parameters(entry.get("OutputParameters") or [], found))
        depends_on = tuple(_depends_on(entry.get("DependsOn") or [], found))
        if type_ == "Condition":
            for key in arguments:
                if key not in ("Conditions", *BRANCHES):
                    known = ("Conditions", *BRANCHES)
                    found.append((f"Arguments.{key}", f"unknown key{suggest(key, known)}"))
            # The branches become steps of their own; what is left is what the step itself resolves.
            arguments = {"Conditions": arguments.get("Conditions")}
        if type_ == "Lambda" and not entry.get("FunctionArn"):
            found.append(("FunctionArn", "expected the function's ARN, found nothing"))
        for key, message in found:
            self.problem(where, f"{key}: {message}")
        return Step(
            name,
            type_,
            arguments,
            display_name=str(entry.get("DisplayName") or ""),
            description=str(entry.get("Description") or ""),
            depends_on=depends_on,
            inside=inside,
            property_files=tuple(files),
            cache=cache,
            retries=retries,
            function_arn=entry.get("FunctionArn"),
            output_parameters=outputs,
        )


def _type_problem(type_: Any) -> str:
    if type_ in EXECUTED:
        return ""
    if type_ in REFUSED:
        return (
            f"Type: SageMaker has {type_} steps, the sandbox does not execute them; "
            f"executed are {', '.join(EXECUTED)}"
        )
    return f"Type: unknown step type {type_!r}{suggest(str(type_), EXECUTED + REFUSED)}"


def _property_files(entries: Any, found: list[tuple[str, str]]) -> Iterator[PropertyFile]:
    keys = ("PropertyFileName", "OutputName", "FilePath")
    for number, entry in enumerate(entries if isinstance(entries, list) else [entries]):
        if not isinstance(entry, Mapping) or set(entry) != set(keys):
            found.append(
                (f"PropertyFiles[{number}]", f"expected an object with {', '.join(keys)}, got {entry!r}")
            )
        else:
            yield PropertyFile(*(str(entry[key]) for key in keys))


def _output_parameters(entries: Any, found: list[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    for number, entry in enumerate(entries if isinstance(entries, list) else [entries]):
        where = f"OutputParameters[{number}]"
        if not isinstance(entry, Mapping) or not isinstance(entry.get("OutputName"), str):
            found.append((where, f"expected an object with OutputName and OutputType, got {entry!r}"))
        elif entry.get("OutputType") not in TYPES:
            message = f"OutputType: expected one of {', '.join(TYPES)}, got {entry.get('OutputType')!r}"
            found.append((where, message))
        else:
            yield entry["OutputName"], entry["OutputType"]


def _depends_on(entries: Any, found: list[tuple[str, str]]) -> Iterator[str]:
    for number, entry in enumerate(entries if isinstance(entries, list) else [entries]):
        if isinstance(entry, str):
            yield entry
        elif isinstance(entry, Mapping) and set(entry) == {"Step", "Trigger"}:
            # sagemaker 3.27.0 writes this for StepDependency; "Completed" is what a plain name means.
            if entry["Trigger"] == "Completed":
                yield str(entry["Step"])
            else:
                message = (
                    f"run condition {entry['Trigger']!r}: the sandbox runs steps after Completed ones only"
                )
                found.append((f"DependsOn[{number}]", message))
        else:
            found.append((f"DependsOn[{number}]", f"expected the name of a step, got {entry!r}"))


def _kind(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "a string", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number")


def problems_of(definition: Definition, known_names: Collection[str] = ()) -> Iterator[Problem]:
    """Yield every problem in the relations between steps.

    Args:
        definition: whose steps were read one by one.
        known_names: names of all steps in the document, those too that could not be read.
    """
    for step in definition.steps.values():
        for key, message in _step_problems(definition, step, known_names):
            yield Problem(f"step '{step.name}'", f"{key}: {message}")
    waits = graph.dependencies(definition)
    edges = {name: wait.needs | wait.follows for name, wait in waits.items()}
    if cycle := graph.find_cycle(edges):
        yield Problem("Steps", f"cyclic dependency: {' -> '.join(cycle)} (each waits for the next)")
        return
    for name, condition in graph.branch_conflicts(definition, waits).items():
        message = (
            f"can never run: it needs both branches of condition '{condition}', of which only one is taken; "
            f'to run after either, use DependsOn: ["{condition}"]'
        )
        yield Problem(f"step '{name}'", message)


def _step_problems(
    definition: Definition, step: Step, known_names: Collection[str]
) -> Iterator[tuple[str, str]]:
    if step.type == "Condition":
        yield from conditions.problems(step.arguments["Conditions"], "Arguments.Conditions")
    if step.type == "Fail":
        for key in step.arguments:
            if key != "ErrorMessage":
                yield f"Arguments.{key}", f"unknown key{suggest(key, ['ErrorMessage'])}"
    yield from _property_file_problems(step)
    for name in step.depends_on:
        if name not in definition.steps and name not in known_names:
            yield "DependsOn", f"the pipeline has no step {name!r}{suggest(name, definition.steps)}"
    scope = PreviewScope(definition, step, known_names=known_names)
    written = {"Arguments": step.arguments, "FunctionArn": step.function_arn}
    for where, expression in outermost(written):
        try:
            resolve(expression, scope)
        except ExpressionError as error:
            yield where, str(error)


def _property_file_problems(step: Step) -> Iterator[tuple[str, str]]:
    config = step.arguments.get("ProcessingOutputConfig")
    outputs = config.get("Outputs") if isinstance(config, dict) and not is_expression(config) else None
    names = {item.get("OutputName") for item in outputs or [] if isinstance(item, dict)}
    for file in step.property_files:
        if file.output_name not in names:
            near = suggest(file.output_name, map(str, names)) if names else "; it has none"
            yield f"PropertyFiles '{file.name}'", f"the step has no output {file.output_name!r}{near}"
