"""Values of parameters, and requests judged by the service's own shapes before anything runs."""

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
from mlops_workbench.sandbox.services.sagemaker.pipelines.model import DefinitionError, bind, defaults
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


DEFINITION = parse(
    text(
        pipeline(
            processing("A"),
            parameters=[
                parameter("Name", default="x", enum=["x", "y"]),
                parameter("Epochs", "Integer", 3),
                parameter("Rate", "Float", 1),
                parameter("Fast", "Boolean", False),
                parameter("Bucket"),
            ],
        )
    )
)


def test_texts_become_values_of_the_declared_types() -> None:
    """StartPipelineExecution carries text only."""
    given = [("Name", "y"), ("Epochs", "5"), ("Rate", "1e-3"), ("Fast", "True"), ("Bucket", "")]
    values = bind(DEFINITION, given)
    assert values == {"Name": "y", "Epochs": 5, "Rate": 0.001, "Fast": True, "Bucket": ""}
    assert isinstance(values["Epochs"], int)


def test_what_is_not_given_has_its_default() -> None:
    """False and 0 are defaults too."""
    assert bind(DEFINITION, [("Bucket", "b")]) == {
        "Name": "x",
        "Epochs": 3,
        "Rate": 1,
        "Fast": False,
        "Bucket": "b",
    }


def test_everything_wrong_with_the_values_is_said_at_once() -> None:
    """Wrong types, enum, unknown names, names given twice, and what is missing."""
    given = [
        ("Epochs", "3.5"),
        ("Rate", "fast"),
        ("Fast", "yes"),
        ("Name", "z"),
        ("Epoch", "1"),
        ("Epochs", "1"),
    ]
    with pytest.raises(DefinitionError) as caught:
        bind(DEFINITION, given)
    assert [str(problem) for problem in caught.value.problems] == [
        "parameter 'Epochs': expected a whole number, got '3.5'",
        "parameter 'Rate': expected a number, got 'fast'",
        "parameter 'Fast': expected true or false, got 'yes'",
        "parameter 'Name': expected one of x, y, got 'z'",
        "parameter 'Epoch': the pipeline declares no such parameter; did you mean \"Epochs\"?",
        "parameter 'Epochs': given twice",
        "parameter 'Bucket': expected a value, found none; it has no default: give Bucket=…",
    ]


def test_a_missing_value_may_be_left_out_of_a_check() -> None:
    """`mlops-sandbox validate` does not ask for it."""
    assert "Bucket" not in bind(DEFINITION, [], partial=True)
