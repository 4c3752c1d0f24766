"""Two accounts: trust policies, bucket and key policies, model packages that one shows the other."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest

from mlops_workbench.sandbox import Sandbox
from tests.sandbox.iam.world import REGION, A, B, World, allow, deny, document, refusal, trust


@pytest.fixture(scope="module", params=[True, False], ids=["enforced", "not-enforced"])
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """What separates accounts holds whether or not roles are held to their policies."""
    folder = tmp_path_factory.mktemp("accounts")
    with Sandbox(folder, accounts=(A, B), enforce_iam=request.param) as sandbox:
        yield World(sandbox)


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    return "n" + str(abs(hash(request.node.name)))[:16]


def test_a_role_that_does_not_exist_cannot_be_assumed(world: World) -> None:
    arn = f"arn:aws:iam::{B}:role/nobody"
    assert refusal(world.admin("sts").assume_role, RoleArn=arn, RoleSessionName="deploy") == (
        f"User: arn:aws:iam::{A}:user/sandbox is not authorized to perform: sts:AssumeRole on resource: {arn}"
    )


def test_a_trust_policy_may_admit_a_path_of_roles(world: World, name: str) -> None:
    condition = {"ArnLike": {"aws:PrincipalArn": f"arn:aws:iam::{A}:role/mlops/deploy/*"}}
    root = trust({"AWS": f"arn:aws:iam::{A}:root"}, Condition=condition)
    target = world.role(name, account=B, AssumeRolePolicyDocument=root)
    inside = world.role(f"{name}i", allow("sts:AssumeRole", target), Path="/mlops/deploy/")
    outside = world.role(f"{name}o", allow("sts:AssumeRole", target))
    keys = world.acting_as(inside, "sts").assume_role(RoleArn=target, RoleSessionName="deploy")["Credentials"]
    sts = world.client("sts", keys["AccessKeyId"], keys["SecretAccessKey"], keys["SessionToken"])
    assert sts.get_caller_identity()["Arn"] == f"arn:aws:sts::{B}:assumed-role/{name}/deploy"
    denied = refusal(world.acting_as(outside, "sts").assume_role, RoleArn=target, RoleSessionName="deploy")
    assert f"assumed-role/{name}o/session is not authorized to perform: sts:AssumeRole" in denied


def test_an_external_id_is_asked_for(world: World, name: str) -> None:
    condition = {"StringEquals": {"sts:ExternalId": "42"}}
    arn = world.role(name, account=B, AssumeRolePolicyDocument=trust({"AWS": A}, Condition=condition))
    sts = world.admin("sts")
    assert "sts:AssumeRole" in refusal(sts.assume_role, RoleArn=arn, RoleSessionName="one")
    sts.assume_role(RoleArn=arn, RoleSessionName="one", ExternalId="42")


def token(**claims: Any) -> str:
    parts = [
        base64.urlsafe_b64encode(json.dumps(each).encode()).decode().rstrip("=") for each in ({}, claims)
    ]
    return ".".join([*parts, "signature"])


def test_a_token_opens_the_role_whose_trust_names_its_claims(world: World, name: str) -> None:
    host = f"api.bitbucket.org/{name}"
    provider = world.admin("iam").create_open_id_connect_provider(
        Url=f"https://{host}", ClientIDList=["ari"], ThumbprintList=["a" * 40]
    )["OpenIDConnectProviderArn"]
    condition = {"StringLike": {f"{host}:sub": "{repository}:*"}, "StringEquals": {f"{host}:aud": "ari"}}
    policy = trust({"Federated": provider}, "sts:AssumeRoleWithWebIdentity", Condition=condition)
    arn = world.role(name, AssumeRolePolicyDocument=policy)
    assume = world.admin("sts").assume_role_with_web_identity
    arguments = {"RoleArn": arn, "RoleSessionName": "publish"}
    good = token(iss=f"https://{host}", sub="{repository}:{step}", aud="ari")
    assert assume(**arguments, WebIdentityToken=good)["AssumedRoleUser"]["Arn"].endswith(f"{name}/publish")
    other = token(iss=f"https://{host}", sub="{other}:{step}", aud="ari")
    assert "Not authorized" in refusal(assume, **arguments, WebIdentityToken=other)
    stranger = token(iss="https://elsewhere.example", sub="{repository}:{step}", aud="ari")
    assert "No OpenIDConnect provider" in refusal(assume, **arguments, WebIdentityToken=stranger)


def test_a_bucket_is_its_accounts_own_until_its_policy_says_otherwise(world: World, name: str) -> None:
    owner, other = world.bucket(name), world.admin("s3", B)
    owner.put_object(Bucket=name, Key="models/m", Body=b"model")
    assert "s3:GetObject" in refusal(other.get_object, Bucket=name, Key="models/m")
    reader = {**allow("s3:GetObject", f"arn:aws:s3:::{name}/models/*"), "Principal": {"AWS": B}}
    owner.put_bucket_policy(Bucket=name, Policy=document(reader))
    assert other.get_object(Bucket=name, Key="models/m")["Body"].read() == b"model"
    assert "s3:PutObject" in refusal(other.put_object, Bucket=name, Key="models/m")


def test_a_deny_under_an_unmet_condition_leaves_the_bucket_usable(world: World, name: str) -> None:
    s3 = world.bucket(name)
    key = f"arn:aws:kms:{REGION}:{A}:key/one"
    tls = {"Bool": {"aws:SecureTransport": "false"}}
    header = "s3:x-amz-server-side-encryption-aws-kms-key-id"
    wrong_key = {"StringNotEquals": {header: key}, "Null": {header: "false"}}
    statements = [
        {**deny("s3:*", [f"arn:aws:s3:::{name}", f"arn:aws:s3:::{name}/*"], Condition=tls), "Principal": "*"},
        {**deny("s3:PutObject", f"arn:aws:s3:::{name}/*", Condition=wrong_key), "Principal": "*"},
    ]
    s3.put_bucket_policy(Bucket=name, Policy=document(*statements))
    s3.put_object(Bucket=name, Key="a", Body=b"text")
    assert s3.get_object(Bucket=name, Key="a")["Body"].read() == b"text"
    assert s3.delete_objects(Bucket=name, Delete={"Objects": [{"Key": "a"}]})["Deleted"]
    denied = refusal(s3.put_object, Bucket=name, Key="a", ServerSideEncryption="aws:kms", SSEKMSKeyId="other")
    assert denied.endswith("with an explicit deny in a resource-based policy")


def key_policy(*more: dict[str, Any]) -> str:
    return document({**allow("kms:*"), "Principal": {"AWS": f"arn:aws:iam::{A}:root"}}, *more)


def test_a_key_of_another_account_is_there_for_those_it_admits(world: World) -> None:
    owner, other = world.admin("kms"), world.admin("kms", B)
    arn = owner.create_key(Policy=key_policy())["KeyMetadata"]["Arn"]
    assert "kms:GenerateDataKey" in refusal(other.generate_data_key, KeyId=arn, KeySpec="AES_256")
    admitted = {
        **allow(["kms:GenerateDataKey", "kms:Decrypt", "kms:DescribeKey"]),
        "Principal": {"AWS": f"arn:aws:iam::{B}:root"},
    }
    owner.put_key_policy(KeyId=arn, PolicyName="default", Policy=key_policy(admitted))
    made = other.generate_data_key(KeyId=arn, KeySpec="AES_256")
    assert other.decrypt(CiphertextBlob=made["CiphertextBlob"])["Plaintext"] == made["Plaintext"]
    assert other.describe_key(KeyId=arn)["KeyMetadata"]["Arn"] == arn
    assert "kms:ScheduleKeyDeletion" in refusal(other.schedule_key_deletion, KeyId=arn)


def test_a_key_policy_that_names_nobody_locks_everybody_out(world: World) -> None:
    kms = world.admin("kms")
    elsewhere = document({**allow("kms:*"), "Principal": {"AWS": f"arn:aws:iam::{B}:root"}})
    arn = kms.create_key(Policy=elsewhere)["KeyMetadata"]["Arn"]
    assert "because no resource-based policy allows" in refusal(kms.describe_key, KeyId=arn)


def test_a_model_package_is_shown_to_the_account_that_the_groups_policy_admits(
    world: World, name: str
) -> None:
    owner, other = world.admin("sagemaker"), world.admin("sagemaker", B)
    group = owner.create_model_package_group(ModelPackageGroupName=name)["ModelPackageGroupArn"]
    types = ["text/plain"]
    specification = {
        "Containers": [{"Image": "image"}],
        "SupportedContentTypes": types,
        "SupportedResponseMIMETypes": types,
    }
    package = owner.create_model_package(
        ModelPackageGroupName=name, ModelApprovalStatus="Approved", InferenceSpecification=specification
    )["ModelPackageArn"]
    model = {
        "ModelName": name,
        "PrimaryContainer": {"ModelPackageName": package},
        "ExecutionRoleArn": world.role(name, account=B),
    }
    assert "resource-based policy" in refusal(other.describe_model_package, ModelPackageName=package)
    assert "resource-based policy" in refusal(other.list_model_packages, ModelPackageGroupName=group)
    assert "resource-based policy" in refusal(other.create_model, **model)
    packages = f"arn:aws:sagemaker:{REGION}:{A}:model-package/{name}/*"
    actions = ["sagemaker:DescribeModelPackage", "sagemaker:ListModelPackages", "sagemaker:CreateModel"]
    owner.put_model_package_group_policy(
        ModelPackageGroupName=name,
        ResourcePolicy=document({**allow(actions, packages), "Principal": {"AWS": f"arn:aws:iam::{B}:root"}}),
    )
    assert other.describe_model_package(ModelPackageName=package)["ModelPackageArn"] == package
    listed = other.list_model_packages(ModelPackageGroupName=group)["ModelPackageSummaryList"]
    assert [each["ModelPackageArn"] for each in listed] == [package]
    assert f":{B}:model/" in other.create_model(**model)["ModelArn"]
    approve = {"ModelPackageArn": package, "ModelApprovalStatus": "Approved"}
    assert "sagemaker:UpdateModelPackage" in refusal(other.update_model_package, **approve)


def test_the_one_policy_of_a_key_needs_no_name(world):
    kms = world.admin("kms")
    key = kms.create_key()["KeyMetadata"]["KeyId"]
    assert (
        kms.get_key_policy(KeyId=key)["Policy"]
        == kms.get_key_policy(KeyId=key, PolicyName="default")["Policy"]
    )
