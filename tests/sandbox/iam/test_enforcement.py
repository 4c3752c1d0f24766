"""Enforcement over HTTP: a role may do what its policies allow, each service refuses in its own protocol."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator

import pytest

from mlops_workbench.sandbox import Sandbox
from tests.sandbox.iam.world import REGION, A, B, World, allow, deny, document, refusal, trust


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """One world for all: each test uses names of its own."""
    with Sandbox(tmp_path_factory.mktemp("access"), accounts=(A, B), enforce_iam=True) as sandbox:
        yield World(sandbox)


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """A name for this test's resources."""
    return "t" + str(abs(hash(request.node.name)))[:16]


def test_what_the_policy_allows_is_done(world: World, name: str) -> None:
    world.bucket(name)
    arn = world.role(
        name,
        allow(["s3:PutObject", "s3:GetObject"], f"arn:aws:s3:::{name}/in/*"),
        allow("s3:ListBucket", f"arn:aws:s3:::{name}", Condition={"StringLike": {"s3:prefix": "in/*"}}),
    )
    s3 = world.acting_as(arn, "s3")
    s3.put_object(Bucket=name, Key="in/a", Body=b"text")
    assert s3.get_object(Bucket=name, Key="in/a")["Body"].read() == b"text"
    assert s3.list_objects_v2(Bucket=name, Prefix="in/")["KeyCount"] == 1
    assert "s3:PutObject" in refusal(s3.put_object, Bucket=name, Key="out/a")
    assert "s3:ListBucket" in refusal(s3.list_objects_v2, Bucket=name)
    assert "s3:DeleteObject" in refusal(s3.delete_objects, Bucket=name, Delete={"Objects": [{"Key": "in/a"}]})


def test_a_copy_needs_its_source_too(world: World, name: str) -> None:
    world.bucket(name).put_object(Bucket=name, Key="secret/a", Body=b"text")
    s3 = world.acting_as(world.role(name, allow("s3:PutObject")), "s3")
    arguments = {"Bucket": name, "Key": "b", "CopySource": {"Bucket": name, "Key": "secret/a"}}
    assert f's3:GetObject on resource: "arn:aws:s3:::{name}/secret/a"' in refusal(s3.copy_object, **arguments)
    world.allow(name, allow(["s3:PutObject", "s3:GetObject"]))
    s3.copy_object(**arguments)


def test_a_missing_object_is_told_only_to_those_who_may_list(world: World, name: str) -> None:
    world.bucket(name)
    s3 = world.acting_as(world.role(name, allow("s3:GetObject")), "s3")
    assert "s3:ListBucket" in refusal(s3.get_object, Bucket=name, Key="no")
    world.allow(name, allow(["s3:GetObject", "s3:ListBucket"]))
    assert "does not exist" in refusal(s3.get_object, Bucket=name, Key="no")


def test_a_call_that_only_star_can_allow(world: World, name: str) -> None:
    kms = world.acting_as(world.role(name, allow("kms:*", f"arn:aws:kms:{REGION}:{A}:key/*")), "kms")
    assert "kms:ListAliases" in refusal(kms.list_aliases)
    world.allow(name, allow("kms:ListAliases"))
    kms.list_aliases()


def test_a_boundary_holds(world: World, name: str) -> None:
    boundary = world.admin("iam").create_policy(PolicyName=name, PolicyDocument=document(allow("sqs:*")))[
        "Policy"
    ]["Arn"]
    arn = world.role(name, allow("*"), PermissionsBoundary=boundary)
    assert world.acting_as(arn, "sqs").list_queues()
    message = refusal(world.acting_as(arn, "sns").list_topics)
    assert message.endswith("because no permissions boundary allows the sns:ListTopics action")


def test_who_may_only_keep_roles_inside_a_boundary_changes_no_other(world: World, name: str) -> None:
    iam = world.admin("iam")
    boundary = iam.create_policy(PolicyName=name, PolicyDocument=document(allow("sqs:*")))["Policy"]["Arn"]
    inside = {"Condition": {"StringEquals": {"iam:PermissionsBoundary": boundary}}}
    keeper = world.acting_as(
        world.role(name, allow(["iam:CreateRole", "iam:PutRolePolicy"], **inside)), "iam"
    )
    made = {"AssumeRolePolicyDocument": document()}
    assert "iam:CreateRole" in refusal(keeper.create_role, RoleName=f"{name}-free", **made)
    keeper.create_role(RoleName=f"{name}-bound", PermissionsBoundary=boundary, **made)
    policy = {"PolicyName": "p", "PolicyDocument": document(allow("sqs:ListQueues"))}
    keeper.put_role_policy(RoleName=f"{name}-bound", **policy)
    iam.create_role(RoleName=f"{name}-free", **made)
    assert "iam:PutRolePolicy" in refusal(keeper.put_role_policy, RoleName=f"{name}-free", **policy)


def test_managed_policies_and_explicit_denies_count(world: World, name: str) -> None:
    iam = world.admin("iam")
    policy = iam.create_policy(
        PolicyName=name, PolicyDocument=document(allow("sqs:*"), deny("sqs:ListQueues"))
    )
    arn = world.role(name)
    iam.attach_role_policy(RoleName=name, PolicyArn=policy["Policy"]["Arn"])
    sqs = world.acting_as(arn, "sqs")
    sqs.create_queue(QueueName=name)
    assert refusal(sqs.list_queues).endswith("with an explicit deny in an identity-based policy")


def test_a_user_is_held_to_its_policies_and_an_administrator_has_all(world: World, name: str) -> None:
    iam = world.admin("iam")
    iam.create_user(UserName=name)
    key = iam.create_access_key(UserName=name)["AccessKey"]
    sqs = world.client("sqs", key["AccessKeyId"], key["SecretAccessKey"])
    assert f"User: arn:aws:iam::{A}:user/{name} is not authorized" in refusal(sqs.list_queues)
    iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=document(allow("sqs:ListQueues")))
    sqs.list_queues()


def test_unknown_keys_open_nothing(world: World) -> None:
    client = world.client("sqs", "AKIAUNKNOWNUNKNOWN00", "x")
    assert refusal(client.list_queues) == "The security token included in the request is invalid."


def test_passing_a_role_to_a_service_is_a_permission(world: World, name: str) -> None:
    passed = world.role(f"{name}p", AssumeRolePolicyDocument=trust({"Service": "lambda.amazonaws.com"}))
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as archive:
        archive.writestr("main.py", "")
    arguments = {
        "FunctionName": name,
        "Runtime": "python3.12",
        "Handler": "main.handler",
        "Role": passed,
        "Code": {"ZipFile": code.getvalue()},
    }
    client = world.acting_as(world.role(name, allow("lambda:*")), "lambda")
    assert f"iam:PassRole on resource: {passed}" in refusal(client.create_function, **arguments)
    for service in ("sagemaker.amazonaws.com", "lambda.amazonaws.com"):
        condition = {"StringEquals": {"iam:PassedToService": service}}
        world.allow(name, allow("lambda:*"), allow("iam:PassRole", passed, Condition=condition))
        if service.startswith("sagemaker"):
            assert "iam:PassRole" in refusal(client.create_function, **arguments)
    client.create_function(**arguments)


def test_a_build_role_can_be_kept_from_approving(world: World, name: str) -> None:
    sagemaker = world.admin("sagemaker")
    sagemaker.create_model_package_group(ModelPackageGroupName=name)
    pending = {"StringEquals": {"sagemaker:ModelApprovalStatus": "PendingManualApproval"}}
    role = world.role(name, allow("sagemaker:CreateModelPackage", Condition=pending))
    client = world.acting_as(role, "sagemaker")
    assert "sagemaker:CreateModelPackage" in refusal(
        client.create_model_package, ModelPackageGroupName=name, ModelApprovalStatus="Approved"
    )
    made = client.create_model_package(
        ModelPackageGroupName=name, ModelApprovalStatus="PendingManualApproval"
    )
    assert f"model-package/{name}/1" in made["ModelPackageArn"]
