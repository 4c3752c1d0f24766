"""A request of SageMaker held against the service's own model: types, enums, patterns and limits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from botocore.validate import ParamValidator
from moto.sagemaker.exceptions import ValidationError

from mlops_workbench.sandbox.pipelines import constraints
from mlops_workbench.sandbox.pipelines.constraints import request_shape


def checked(operation: str, params: Mapping[str, Any]) -> dict[str, Any]:
    """Return a request without the members that are null.

    Raises:
        ValidationError: it breaks a rule of the service's model; names every problem.
    """
    request = {key: value for key, value in params.items() if value is not None}
    shape = request_shape(operation)
    report = ParamValidator().validate(request, shape)
    problems = report.generate_report().splitlines() if report.has_errors() else []
    problems += [f"{path}: {message}" for path, message in constraints.problems(shape, request)]
    if problems:
        count = f"{len(problems)} validation error{'s' if len(problems) > 1 else ''} detected"
        raise ValidationError(f"{count}: {'; '.join(problems)}")
    return request
