"""Endpoints where roles are enforced: who may make and ask one, and what its own role must be able to do."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mlops_workbench.sandbox import Sandbox
from mlops_workbench.sandbox.images import Images
from tests.sandbox.iam.world import World, allow, document, refusal, trust
from tests.sandbox.services.sagemaker.endpoints.world import (
    BUCKET,
    REGION,
    A,
    B,
    Endpoints,
    variant,
)
from tests.waiting import wait_for

SAGEMAKER = trust({"Service": "sagemaker.amazonaws.com"})
ENDPOINT = f"arn:aws:sagemaker:{REGION}:{A}:endpoint/asked"
READ = allow("s3:GetObject", f"arn:aws:s3:::{BUCKET}/*")
PULL = allow(
    ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"],
    f"arn:aws:ecr:{REGION}:763104351884:repository/huggingface-pytorch-inference",
)
LOG = allow(["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"])


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory, container_python: Path) -> Iterator[Sandbox]:
    folder, images = tmp_path_factory.mktemp("access"), Images.single(container_python)
    with Sandbox(folder, images, accounts=(A, B), enforce_iam=True) as opened:
        yield opened


@pytest.fixture(scope="module")
def world(sandbox: Sandbox) -> World:
    return World(sandbox)


@pytest.fixture(scope="module")
def endpoints(sandbox: Sandbox) -> Endpoints:
    return Endpoints(sandbox)


def serving_role(world: World, name: str, *statements: dict[str, Any], account: str = A) -> str:
    return world.role(name, *statements, account=account, AssumeRolePolicyDocument=SAGEMAKER)


def test_making_an_endpoint_needs_the_endpoint_and_its_configuration(world: World) -> None:
    deployer = world.role("deployer-1", allow("sagemaker:CreateEndpoint", ENDPOINT))
    client = world.acting_as(deployer, "sagemaker")
    answer = refusal(client.create_endpoint, EndpointName="asked", EndpointConfigName="config")
    assert (
        f"sagemaker:CreateEndpoint on resource: arn:aws:sagemaker:{REGION}:{A}:endpoint-config/config"
        in answer
    )
    answer = refusal(client.update_endpoint, EndpointName="other", EndpointConfigName="config")
    assert "sagemaker:UpdateEndpoint on resource" in answer and "endpoint/other" in answer
    answer = refusal(
        client.update_endpoint_weights_and_capacities,
        EndpointName="asked",
        DesiredWeightsAndCapacities=[{"VariantName": "AllTraffic"}],
    )
    assert f"sagemaker:UpdateEndpointWeightsAndCapacities on resource: {ENDPOINT}" in answer


def test_a_policy_can_bound_the_size_of_a_serverless_variant(world: World) -> None:
    within = {
        "NumericLessThanEquals": {
            "sagemaker:ServerlessMemorySize": "2048",
            "sagemaker:ServerlessMaxConcurrency": "5",
        }
    }
    role = world.role("deployer-2", allow("sagemaker:CreateEndpointConfig", Condition=within))
    client = world.acting_as(role, "sagemaker")

    def ask(**serverless: int) -> str:
        return refusal(
            client.create_endpoint_config,
            EndpointConfigName="bounded",
            ProductionVariants=[variant("none", **serverless)],
        )

    assert "Could not find model" in ask()
    assert "not authorized to perform: sagemaker:CreateEndpointConfig" in ask(MemorySizeInMB=3072)
    assert "not authorized to perform: sagemaker:CreateEndpointConfig" in ask(MaxConcurrency=6)


def test_a_model_needs_pass_role(world: World, endpoints: Endpoints) -> None:
    role = serving_role(world, "passed")
    deployer = world.role("deployer-3", allow("sagemaker:CreateModel"))
    package = endpoints.package("passed")
    answer = refusal(
        world.acting_as(deployer, "sagemaker").create_model,
        ModelName="passed",
        PrimaryContainer={"ModelPackageName": package},
        ExecutionRoleArn=role,
    )
    assert f"iam:PassRole on resource: {role}" in answer


def test_scaling_needs_its_action_on_the_target(world: World) -> None:
    target = f"arn:aws:application-autoscaling:{REGION}:{A}:scalable-target/*"
    action = "application-autoscaling:RegisterScalableTarget"
    given = {
        "ServiceNamespace": "sagemaker",
        "ResourceId": "endpoint/asked/variant/AllTraffic",
        "ScalableDimension": "sagemaker:variant:DesiredProvisionedConcurrency",
        "MinCapacity": 1,
        "MaxCapacity": 2,
    }
    only = {"StringEquals": {"application-autoscaling:service-namespace": "sagemaker"}}
    allowed = world.acting_as(
        world.role("scaler", allow(action, target, Condition=only)), "application-autoscaling"
    )
    denied = world.acting_as(world.role("no-scaler"), "application-autoscaling")
    assert "expected endpoint/NAME/variant/VARIANT" in refusal(allowed.register_scalable_target, **given)
    assert action in refusal(denied.register_scalable_target, **given)
    assert "DescribeScalableTargets" in refusal(
        allowed.describe_scalable_targets, ServiceNamespace="sagemaker"
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("statements", "reason"),
    [
        (
            (PULL,),
            f'Could not access model data at s3://{BUCKET}/no-1/model.tar.gz. Please ensure that the role '
            f'"arn:aws:iam::{A}:role/no-1" exists',
        ),
        ((READ,), f"Role arn:aws:iam::{A}:role/no-1 cannot pull"),
    ],
)  # fmt: skip
def test_an_endpoint_fails_whose_role_lacks_what_its_container_needs(
    world: World, endpoints: Endpoints, statements: tuple[dict[str, Any], ...], reason: str
) -> None:
    if "no-1" not in [each["RoleName"] for each in world.admin("iam").list_roles()["Roles"]]:
        serving_role(world, "no-1")
        endpoints.config("no-1", endpoints.package("no-1"), role=f"arn:aws:iam::{A}:role/no-1")
    world.allow("no-1", *statements)
    described = endpoints.create("no-1", "no-1", "Failed")
    assert described["FailureReason"].startswith(reason)
    assert "is not authorized to perform" in described["FailureReason"]
    endpoints.sagemaker.delete_endpoint(EndpointName="no-1")
    assert wait_for(lambda: not endpoints.sagemaker.list_endpoints(NameContains="no-1")["Endpoints"])


@pytest.mark.slow
def test_a_role_that_does_not_trust_sagemaker_fails_the_endpoint(world: World, endpoints: Endpoints) -> None:
    role = world.role("no-trust")
    endpoints.config("no-trust", endpoints.package("no-trust"), role=role)
    reason = endpoints.create("no-trust", "no-trust", "Failed")["FailureReason"]
    assert reason.startswith(f"Could not assume role {role}: sagemaker.amazonaws.com is not authorized")


@pytest.mark.slow
def test_asking_needs_invoke_endpoint_and_a_log_needs_permission(world: World, endpoints: Endpoints) -> None:
    role = serving_role(world, "serving", READ, PULL)
    endpoints.config("asked", endpoints.package("asked"), role=role)
    endpoints.create("asked", "asked")
    asker = world.acting_as(
        world.role("asker", allow("sagemaker:InvokeEndpoint", ENDPOINT)), "sagemaker-runtime"
    )
    stranger = world.acting_as(
        world.role("stranger", allow("sagemaker:InvokeEndpoint", ENDPOINT + "-2")), "sagemaker-runtime"
    )
    answer = asker.invoke_endpoint(EndpointName="asked", Body=b"hello", ContentType="text/plain")
    assert answer["Body"].read() == b"asked: hello"
    refused = refusal(stranger.invoke_endpoint, EndpointName="asked", Body=b"hello")
    assert f"is not authorized to perform: sagemaker:InvokeEndpoint on resource: {ENDPOINT}" in refused
    groups = endpoints.sandbox.client("logs").describe_log_groups()["logGroups"]
    assert "/aws/sagemaker/Endpoints/asked" not in [each["logGroupName"] for each in groups]


@pytest.mark.slow
def test_an_endpoint_of_another_account_serves_a_package_of_this_one(
    world: World, endpoints: Endpoints, sandbox: Sandbox
) -> None:
    other = Endpoints(sandbox, B)
    package = endpoints.package("shared")
    role = serving_role(world, "serving-b", READ, PULL, LOG, account=B)
    assert "resource-based policy" in refusal(
        other.sagemaker.create_model,
        ModelName="shared",
        PrimaryContainer={"ModelPackageName": package},
        ExecutionRoleArn=role,
    )
    theirs = {"Principal": {"AWS": f"arn:aws:iam::{B}:root"}}
    packages = f"arn:aws:sagemaker:{REGION}:{A}:model-package/group/*"
    actions = ["sagemaker:DescribeModelPackage", "sagemaker:CreateModel"]
    endpoints.sagemaker.put_model_package_group_policy(
        ModelPackageGroupName="group", ResourcePolicy=document({**allow(actions, packages), **theirs})
    )
    other.config("shared", package, role=role)
    reason = other.create("shared", "shared", "Failed")["FailureReason"]
    assert "Could not access model data" in reason and "no resource-based policy allows" in reason
    other.sagemaker.delete_endpoint(EndpointName="shared")
    assert wait_for(lambda: not other.sagemaker.list_endpoints()["Endpoints"])
    world.admin("s3").put_bucket_policy(Bucket=BUCKET, Policy=document({**READ, **theirs}))
    other.create("shared", "shared")
    assert other.ask("shared") == "shared: hello"
    logs = sandbox.client("logs", B)
    group = "/aws/sagemaker/Endpoints/shared"
    assert wait_for(lambda: logs.describe_log_streams(logGroupName=group)["logStreams"])
    not_found = refusal(endpoints.runtime().invoke_endpoint, EndpointName="shared", Body=b"hello")
    assert not_found == f"Endpoint shared of account {A} not found."
