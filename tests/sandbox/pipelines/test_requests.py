"""Requests are judged by the service's own shapes before anything runs."""

from __future__ import annotations

from typing import Any

import pytest
from documents import (
    compare,
    condition,
    get,
    join,
    output_uri,
    parameter,
    pipeline,
    processing,
    register,
    text,
    training,
)

from mlops_workbench.sandbox.services.sagemaker.pipelines.definition import parse
from mlops_workbench.sandbox.services.sagemaker.pipelines.model import defaults
from mlops_workbench.sandbox.services.sagemaker.pipelines.requests import MAX_NAME, job_name, preview_problems


def problems(*steps: dict[str, Any], parameters: list[dict[str, Any]] | None = None) -> list[str]:
    """Return what is wrong with the requests of a definition."""
    definition = parse(text(pipeline(*steps, parameters=parameters)))
    return [str(problem) for problem in preview_problems(definition, defaults(definition))]


def changed(step: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """Return a step with one argument set; "" in place of a value removes it."""
    *parents, last = path.split(".")
    target = step["Arguments"]
    for key in parents:
        target = target[key]
    if value == "":
        del target[last]
    else:
        target[last] = value
    return step


def test_good_requests_have_no_problems() -> None:
    """With values that are known only later, in branches too."""
    assert not problems(
        processing("A", environment={"Id": get("Execution.PipelineExecutionId")}),
        training("T", "pass", channels={"train": output_uri("A")}),
        condition(
            "C",
            [compare("Equals", 1, 1)],
            [register("R", get("Steps.T.ModelArtifacts.S3ModelArtifacts"))],
        ),
        processing("B", arguments=[get("Execution.ProcessingJobName"), join("x", get("Parameters.P"))]),
        parameters=[parameter("P", "Integer")],
    )


@pytest.mark.parametrize(
    ("step", "message"),
    [
        (
            changed(processing("A"), "ProcessingResources.ClusterConfig.VolumeSizeInGB", ""),
            "CreateProcessingJob: ProcessingResources.ClusterConfig.VolumeSizeInGB: required, found nothing",
        ),
        (
            changed(processing("A"), "ProcessingResources.ClusterConfig.InstanceCount", 0),
            "CreateProcessingJob: ProcessingResources.ClusterConfig.InstanceCount: expected at "
            "least 1, got 0",
        ),
        (
            changed(processing("A"), "RoleArn", ""),
            "CreateProcessingJob: RoleArn: required, found nothing",
        ),
        (
            changed(processing("A"), "ProcessingResources.ClusterConfig.InstanceCount", "1"),
            "CreateProcessingJob: ProcessingResources.ClusterConfig.InstanceCount: expected a "
            "whole number, got 1 (str)",
        ),
        (
            changed(processing("A"), "Envronment", {}),
            'CreateProcessingJob: Envronment: unknown key; did you mean "Environment"?',
        ),
        (
            changed(processing("A"), "ProcessingResources.ClusterConfig.InstanceType", "ml.m5.larg"),
            "ProcessingResources.ClusterConfig.InstanceType: 'ml.m5.larg' is not one of SageMaker's values; "
            'did you mean "ml.m5.large"?',
        ),
        (
            changed(processing("A"), "RoleArn", "arn:aws:iam::1:role/pipeline"),
            "CreateProcessingJob: RoleArn: expected the form arn:aws",
        ),
        (
            changed(processing("A"), "StoppingCondition.MaxRuntimeInSeconds", 10**7),
            "StoppingCondition.MaxRuntimeInSeconds: expected at most 777600, got 10000000",
        ),
        (
            changed(register("R", "s3://b/m.tar.gz"), "CustomerMetadataProperties", {"config": "x" * 257}),
            "CustomerMetadataProperties.config: expected at most 256 characters, got 257",
        ),
        (
            changed(register("R", "s3://b/m.tar.gz"), "CustomerMetadataProperties", {"config": "a,b"}),
            "CustomerMetadataProperties.config: expected the form",
        ),
    ],
)
def test_a_bad_request_is_found_before_anything_runs(step: dict[str, Any], message: str) -> None:
    """The message names the call, the key, and what was expected."""
    found = problems(step)
    assert len(found) == 1, found
    assert message in found[0]


def test_an_integer_parameter_as_a_hyperparameter_is_explained() -> None:
    """A bare Get of a number where CreateTrainingJob wants text: the commonest mistake."""
    step = changed(training("T", "pass"), "HyperParameters", {"epochs": get("Parameters.Epochs")})
    for declared in (parameter("Epochs", "Integer", 3), parameter("Epochs", "Integer")):
        (found,) = problems(step, parameters=[declared])
        assert "step 'T': CreateTrainingJob: HyperParameters.epochs: expected a string, got" in found
        assert "Std:Join" in found


def test_a_property_of_another_type_is_found_too() -> None:
    """Its type is known from the Describe call's shape, though its value is not."""
    step = processing("B", arguments=[get("Steps.T.TrainingTimeInSeconds")])
    (found,) = problems(training("T", "pass"), step)
    assert "ContainerArguments[0]: expected a string, got Steps.T.TrainingTimeInSeconds (int)" in found


def test_job_names_fit_the_service() -> None:
    """At most 63 characters, no underscores, different each time."""
    names = {job_name("abcdefghijkl", "A_very_long_step_name_" + "x" * 42) for _ in range(50)}
    assert len(names) == 50
    assert all(len(name) <= MAX_NAME and "_" not in name for name in names)
    assert job_name("abcdefghijkl", "Train").startswith("pipelines-abcdefghijkl-Train-")
