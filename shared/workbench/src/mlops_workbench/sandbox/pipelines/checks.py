"""How steps refer to each other: dangling references, cycles, branches that exclude each other."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from mlops_workbench.sandbox.errors import suggest
from mlops_workbench.sandbox.pipelines import conditions, graph
from mlops_workbench.sandbox.pipelines.errors import ExpressionError, Problem
from mlops_workbench.sandbox.pipelines.expressions import is_expression, outermost, resolve
from mlops_workbench.sandbox.pipelines.model import Definition, Step
from mlops_workbench.sandbox.pipelines.preview import PreviewScope


def problems(definition: Definition, known_names: Collection[str] = ()) -> Iterator[Problem]:
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
