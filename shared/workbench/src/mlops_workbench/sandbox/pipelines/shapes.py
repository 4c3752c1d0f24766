"""The service's own description of its requests and answers: botocore's model of SageMaker.

A step of a pipeline carries the arguments of a Create* call, and its properties are the answer of the
matching Describe* call (AWS, "Step properties"). Both shapes are read from botocore, and are as new as that.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mlops_workbench.sandbox.errors import suggest
from mlops_workbench.sandbox.pipelines.constraints import answer_shape
from mlops_workbench.sandbox.pipelines.errors import ExpressionError


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
