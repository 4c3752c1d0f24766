"""Everything that can be said of a pipeline before it runs, in one call."""

from __future__ import annotations

from collections.abc import Iterable

from mlops_workbench.sandbox.services.sagemaker.pipelines.definition import parse
from mlops_workbench.sandbox.services.sagemaker.pipelines.model import (
    Definition,
    DefinitionError,
    Scalar,
    bind,
)
from mlops_workbench.sandbox.services.sagemaker.pipelines.requests import preview_problems


def prepare(
    definition: str, given: Iterable[tuple[str, str]], *, partial: bool = False
) -> tuple[Definition, dict[str, Scalar]]:
    """Check a definition, the values of its parameters, and the request of every step.

    Args:
        definition: JSON text.
        given: the parameters' values, as text.
        partial: let parameters without a default go without a value; their requests are judged by type.

    Returns:
        The definition, and every parameter's value.

    Raises:
        DefinitionError: with every problem.
    """
    checked = parse(definition)
    values = bind(checked, given, partial=partial)
    if problems := preview_problems(checked, values):
        raise DefinitionError(problems)
    return checked, values
