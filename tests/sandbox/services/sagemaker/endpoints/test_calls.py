"""Models, endpoint configurations and endpoints: what the calls take, refuse and return."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from mlops_workbench.sandbox import Sandbox
from mlops_workbench.sandbox.errors import SandboxError
from mlops_workbench.sandbox.images import Images
from mlops_workbench.sandbox.services.sagemaker.endpoints import running
from tests.sandbox.iam.world import refusal
from tests.sandbox.services.sagemaker.endpoints.world import (
    BUCKET,
    IMAGE,
    REGION,
    A,
    B,
    Endpoints,
    variant,
)
from tests.waiting import wait_for

MODEL = f"arn:aws:sagemaker:{REGION}:{A}:model/"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoints]:
    folder = tmp_path_factory.mktemp("calls")
    with Sandbox(folder, Images.single(sys.executable), accounts=(A, B)) as sandbox:
        yield Endpoints(sandbox)


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    return f"test-{abs(hash(request.node.nodeid)) % 10**10}"


@pytest.fixture
def model(world: Endpoints, name: str) -> str:
    world.sagemaker.create_model(
        ModelName=name, PrimaryContainer={"Image": IMAGE}, ExecutionRoleArn=world.role
    )
    return name


def test_a_model_is_described_as_it_was_given(world: Endpoints, name: str) -> None:
    container = {"ModelPackageName": world.package(name), "Environment": {"SIZE": "small"}}
    given = {
        "ModelName": name,
        "PrimaryContainer": container,
        "ExecutionRoleArn": world.role,
        "EnableNetworkIsolation": False,
    }
    tags = [{"Key": "team", "Value": "words"}]
    arn = world.sagemaker.create_model(**given, Tags=tags)["ModelArn"]
    described = world.sagemaker.describe_model(ModelName=name)
    assert {key: described[key] for key in given} == given
    assert "Tags" not in described
    assert world.sagemaker.list_tags(ResourceArn=arn)["Tags"] == tags
    assert name in [each["ModelName"] for each in world.sagemaker.list_models()["Models"]]
    world.sagemaker.delete_model(ModelName=name)
    assert refusal(world.sagemaker.describe_model, ModelName=name) == f'Could not find model "{MODEL}{name}".'


def test_a_models_name_can_be_used_once(world: Endpoints, model: str) -> None:
    assert (
        refusal(world.sagemaker.create_model, ModelName=model, PrimaryContainer={"Image": IMAGE})
        == f'Cannot create already existing model "{MODEL}{model}".'
    )


@pytest.mark.parametrize("approval", ["PendingManualApproval", "Rejected"])
def test_a_model_needs_an_approved_package(world: Endpoints, name: str, approval: str) -> None:
    package = world.package(name, approval=approval)
    answer = refusal(
        world.sagemaker.create_model, ModelName=name, PrimaryContainer={"ModelPackageName": package}
    )
    assert answer.endswith(f"expected ModelApprovalStatus Approved, got {approval}")


def test_a_model_needs_a_package_that_exists(world: Endpoints, name: str) -> None:
    package = f"arn:aws:sagemaker:{REGION}:{A}:model-package/none/7"
    answer = refusal(
        world.sagemaker.create_model, ModelName=name, PrimaryContainer={"ModelPackageName": package}
    )
    assert answer == f"ModelPackage {package} does not exist."


def test_model_data_that_is_not_there_is_refused_at_once(world: Endpoints, name: str) -> None:
    world.bucket()
    uri = f"s3://{BUCKET}/nowhere/model.tar.gz"
    container = {"Image": IMAGE, "ModelDataUrl": uri}
    answer = refusal(world.sagemaker.create_model, ModelName=name, PrimaryContainer=container)
    assert answer == f"Could not find model data at {uri}."


def test_every_rule_that_a_request_breaks_is_named(world: Endpoints) -> None:
    answer = refusal(
        world.sagemaker.create_model,
        ModelName="-" + "x" * 70,
        PrimaryContainer={"Image": IMAGE},
        ExecutionRoleArn="somebody" * 5,
    )
    assert answer.startswith(
        "3 validation errors detected: ModelName: expected at most 63 characters, got 71"
    )
    assert "ExecutionRoleArn: expected the form" in answer


def test_a_configuration_is_described_as_it_was_given(world: Endpoints, model: str) -> None:
    given = variant(model, ProvisionedConcurrency=2)
    world.sagemaker.create_endpoint_config(EndpointConfigName=model, ProductionVariants=[given])
    described = world.sagemaker.describe_endpoint_config(EndpointConfigName=model)
    assert described["ProductionVariants"] == [{**given, "InitialVariantWeight": 1.0}]
    listed = world.sagemaker.list_endpoint_configs(NameContains=model)["EndpointConfigs"]
    assert [each["EndpointConfigName"] for each in listed] == [model]
    world.sagemaker.delete_endpoint_config(EndpointConfigName=model)
    missing = f'"arn:aws:sagemaker:{REGION}:{A}:endpoint-config/{model}"'
    for call in (world.sagemaker.describe_endpoint_config, world.sagemaker.delete_endpoint_config):
        assert refusal(call, EndpointConfigName=model) == f"Could not find endpoint configuration {missing}."


@pytest.mark.parametrize(
    ("serverless", "message"),
    [
        ({"MemorySizeInMB": 2500}, "expected one of 1024, 2048, 3072, 4096, 5120, 6144, got 2500"),
        ({"MemorySizeInMB": 7168}, "MemorySizeInMB: expected at most 6144, got 7168"),
        ({"MaxConcurrency": 201}, "MaxConcurrency: expected at most 200, got 201"),
        ({"ProvisionedConcurrency": 6}, "expected at most MaxConcurrency, which is 5, got 6"),
    ],
)  # fmt: skip
def test_the_limits_of_a_serverless_variant_are_the_services(
    world: Endpoints, model: str, serverless: dict[str, int], message: str
) -> None:
    answer = refusal(
        world.sagemaker.create_endpoint_config,
        EndpointConfigName=model,
        ProductionVariants=[variant(model, **serverless)],
    )
    assert answer.endswith(message)


@pytest.mark.parametrize(
    ("whole", "of_variant", "message"),
    [
        ({"KmsKeyId": "key"}, {}, "KmsKeyId is not supported for serverless endpoints."),
        (
            {
                "DataCaptureConfig": {
                    "InitialSamplingPercentage": 1,
                    "DestinationS3Uri": "s3://b/p",
                    "CaptureOptions": [{"CaptureMode": "Input"}],
                }
            },
            {},
            "DataCaptureConfig is not supported for serverless endpoints.",
        ),
        ({}, {"InstanceType": "ml.m5.large"}, "not supported for serverless production variants."),
        ({}, {"ServerlessConfig": None}, "the sandbox has no instances to run a variant on"),
        ({}, {"ModelName": "none"}, f'Could not find model "{MODEL}none".'),
    ],
)  # fmt: skip
def test_what_a_serverless_endpoint_cannot_have_is_refused(
    world: Endpoints, model: str, whole: dict[str, Any], of_variant: dict[str, Any], message: str
) -> None:
    given = {key: value for key, value in {**variant(model), **of_variant}.items() if value is not None}
    if "ServerlessConfig" not in given:
        given |= {"InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
    answer = refusal(
        world.sagemaker.create_endpoint_config, EndpointConfigName=model, ProductionVariants=[given], **whole
    )
    assert answer.endswith(message)


def test_an_endpoint_needs_a_configuration_and_calls_need_an_endpoint(world: Endpoints) -> None:
    client = world.sagemaker
    config = f'Could not find endpoint configuration "arn:aws:sagemaker:{REGION}:{A}:endpoint-config/none".'
    assert refusal(client.create_endpoint, EndpointName="x", EndpointConfigName="none") == config
    endpoint = f'Could not find endpoint "arn:aws:sagemaker:{REGION}:{A}:endpoint/none".'
    for call in (client.describe_endpoint, client.delete_endpoint):
        assert refusal(call, EndpointName="none") == endpoint
    assert refusal(client.update_endpoint, EndpointName="none", EndpointConfigName="none") == endpoint
    assert refusal(world.runtime().invoke_endpoint, EndpointName="none", Body=b"x") == (
        f"Endpoint none of account {A} not found."
    )


def test_calls_that_serverless_endpoints_do_not_have_are_refused(world: Endpoints) -> None:
    with pytest.raises(ClientError, match="asynchronous inference is not supported for serverless"):
        world.runtime().invoke_endpoint_async(EndpointName="x", InputLocation="s3://b/k")
    with pytest.raises(ClientError, match="response streaming is not supported for serverless"):
        world.runtime().invoke_endpoint_with_response_stream(EndpointName="x", Body=b"x")


def test_a_server_that_cannot_start_fails_the_endpoint_which_can_only_be_deleted(
    world: Endpoints, model: str
) -> None:
    """The sandbox's own Python has no Hugging Face handler: the container ends at once."""
    world.sagemaker.create_endpoint_config(EndpointConfigName=model, ProductionVariants=[variant(model)])
    described = world.create(model, model, "Failed")
    assert described["FailureReason"] == (
        "The primary container for production variant AllTraffic did not pass the ping health check. "
        "Please check CloudWatch logs for this endpoint."
    )
    client = world.sagemaker
    assert "DeleteEndpoint is the only operation" in refusal(
        client.update_endpoint, EndpointName=model, EndpointConfigName=model
    )
    assert "its status is Failed" in refusal(world.runtime().invoke_endpoint, EndpointName=model, Body=b"x")
    logs = world.sandbox.client("logs")
    group = f"/aws/sagemaker/Endpoints/{model}"
    lines = [each["message"] for each in logs.filter_log_events(logGroupName=group)["events"]]
    assert any("cannot serve: No module named" in line for line in lines)
    client.delete_endpoint(EndpointName=model)
    assert wait_for(lambda: not client.list_endpoints(NameContains=model)["Endpoints"])


@pytest.mark.parametrize("variable", ["MLOPS_SANDBOX_ENDPOINT_WORKERS", "MLOPS_SANDBOX_ENDPOINT_IDLE"])
def test_a_limit_that_is_no_number_is_named_at_the_start(
    monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, "many")
    with pytest.raises(SandboxError, match=f"{variable}: expected a whole number of at least 1, got .many"):
        running.start()
