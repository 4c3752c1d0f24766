"""The keys of a role for a service: only for a role that exists and trusts the service."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mlops_workbench.sandbox import Sandbox
from mlops_workbench.sandbox.errors import AccessDenied
from mlops_workbench.sandbox.iam.acting import role_environment
from tests.sandbox.iam.world import REGION, SERVICE, A, B, World, trust


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with Sandbox(tmp_path, accounts=(A, B)) as sandbox:
        yield World(sandbox)


def test_the_keys_are_those_of_the_roles_session(world: World) -> None:
    arn = world.role("build", Path="/mlops/deploy/", account=B)
    identity = world.acting_as(arn, "sts").get_caller_identity()
    assert identity["Arn"] == f"arn:aws:sts::{B}:assumed-role/build/session"
    assert identity["Account"] == B


def test_the_environment_points_away_from_the_persons_own_settings(world: World) -> None:
    variables = role_environment(world.role("build"), SERVICE, "eu-west-1", "session")
    assert variables["AWS_ENDPOINT_URL"] == world.sandbox.endpoint_url
    assert variables["AWS_REGION"] == "eu-west-1"
    assert {"AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE", "AWS_EC2_METADATA_DISABLED"} <= set(variables)


def test_keys_are_kept_while_they_last_and_differ_between_sessions(world: World) -> None:
    arn = world.role("build")
    first, again = (role_environment(arn, SERVICE, REGION, "one") for _ in range(2))
    other = role_environment(arn, SERVICE, REGION, "two")
    assert first == again
    assert first["AWS_ACCESS_KEY_ID"] != other["AWS_ACCESS_KEY_ID"]


def test_no_keys_for_a_role_that_does_not_exist(world: World) -> None:
    with pytest.raises(AccessDenied, match="role/nobody cannot be found"):
        role_environment(f"arn:aws:iam::{A}:role/nobody", SERVICE, REGION, "session")


@pytest.mark.parametrize(
    "policy",
    [
        trust({"Service": "lambda.amazonaws.com"}),
        trust({"AWS": f"arn:aws:iam::{A}:root"}),
        trust({"Service": SERVICE}, Condition={"StringEquals": {"aws:SourceAccount": B}}),
        trust({"Service": SERVICE}, action="sts:TagSession"),
    ],
)
def test_no_keys_for_a_service_that_the_role_does_not_trust(world: World, policy: str) -> None:
    arn = world.role("build", AssumeRolePolicyDocument=policy)
    with pytest.raises(AccessDenied, match="trust policy does not admit"):
        role_environment(arn, SERVICE, REGION, "session")


def test_conditions_on_the_source_are_held_against_the_source(world: World) -> None:
    project = f"arn:aws:codebuild:{REGION}:{A}:project/email"
    condition = {"StringEquals": {"aws:SourceAccount": A}, "ArnLike": {"aws:SourceArn": project}}
    arn = world.role("build", AssumeRolePolicyDocument=trust({"Service": SERVICE}, Condition=condition))
    assert role_environment(arn, SERVICE, REGION, "session", source_arn=project)
    with pytest.raises(AccessDenied):
        role_environment(arn, SERVICE, REGION, "session", source_arn=f"{project}-other")


def test_a_change_of_trust_ends_the_handing_out_of_keys(world: World) -> None:
    arn = world.role("build")
    role_environment(arn, SERVICE, REGION, "session")
    policy = trust({"Service": "lambda.amazonaws.com"})
    world.admin("iam").update_assume_role_policy(RoleName="build", PolicyDocument=policy)
    with pytest.raises(AccessDenied):
        role_environment(arn, SERVICE, REGION, "session")
