"""The Create* request of each step, and what is wrong with any of them before anything runs."""

from __future__ import annotations

import re
import secrets
import string
from collections.abc import Mapping
from typing import Any

from mlops_workbench.sandbox.pipelines.errors import ExpressionError, Problem
from mlops_workbench.sandbox.pipelines.expressions import resolve
from mlops_workbench.sandbox.pipelines.model import Definition, Scalar, Step
from mlops_workbench.sandbox.pipelines.preview import PreviewScope
from mlops_workbench.sandbox.pipelines.shapes import OPERATIONS, Operation
from mlops_workbench.sandbox.pipelines.validation import request_problems

#: Characters of a job's or a model's name (botocore: ProcessingJobName, TrainingJobName, ModelName, …).
MAX_NAME = 63

_ALPHABET = string.ascii_letters + string.digits


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
