"""terraform/delivery, applied in the sandbox: what it makes, what an edited YAML changes, and how it ends."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.terraform_delivery import (
    BOUNDARY,
    PRODUCTION,
    REGION,
    SHARED,
    SOURCE_BUCKET,
    Terraform,
    World,
    applied,
    edit_yaml,
)

pytestmark = pytest.mark.slow

NAME = "email-router"
BUCKET = f"mlops-{NAME}-{SHARED}-{REGION}"


@pytest.fixture(scope="module")
def world(generate: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Two accounts, a foundation with a permissions boundary, and the delivery applied by Terraform."""
    repository = generate(tmp_path_factory.mktemp("delivery"))
    with applied(repository, tmp_path_factory.mktemp("sandbox"), boundary=BOUNDARY) as world:
        yield world


def test_a_second_plan_is_empty(world: World) -> None:
    world.terraform.assert_nothing_to_do()


def test_the_bucket_is_private_versioned_and_encrypted_with_the_key_of_the_alias(world: World) -> None:
    s3, key = world.client("s3"), world.client("kms").describe_key(KeyId=f"alias/{NAME}")["KeyMetadata"]
    assert s3.get_bucket_versioning(Bucket=BUCKET)["Status"] == "Enabled"
    (rule,) = s3.get_bucket_encryption(Bucket=BUCKET)["ServerSideEncryptionConfiguration"]["Rules"]
    assert rule["BucketKeyEnabled"] is True
    assert rule["ApplyServerSideEncryptionByDefault"] == {
        "SSEAlgorithm": "aws:kms",
        "KMSMasterKeyID": key["Arn"],
    }
    assert all(s3.get_public_access_block(Bucket=BUCKET)["PublicAccessBlockConfiguration"].values())
    (ownership,) = s3.get_bucket_ownership_controls(Bucket=BUCKET)["OwnershipControls"]["Rules"]
    assert ownership["ObjectOwnership"] == "BucketOwnerEnforced"


def test_nothing_expires_but_artifacts_checkpoints_and_replaced_versions(world: World) -> None:
    rules = world.client("s3").get_bucket_lifecycle_configuration(Bucket=BUCKET)["Rules"]
    expiring = {rule["Filter"].get("Prefix", "") for rule in rules if "Days" in rule.get("Expiration", {})}
    assert expiring == {f"{NAME}/", "checkpoints/"}
    assert all(rule.get("NoncurrentVersionExpiration", {}).get("NoncurrentDays") for rule in rules)


def test_the_pipeline_takes_the_archive_of_main_without_polling(world: World) -> None:
    pipeline = world.client("codepipeline").get_pipeline(name=NAME)["pipeline"]
    source, build = (stage["actions"][0] for stage in pipeline["stages"])
    assert pipeline["pipelineType"] == "V2"
    assert source["configuration"] == {
        "S3Bucket": SOURCE_BUCKET,
        "S3ObjectKey": f"{NAME}/main.zip",
        "PollForSourceChanges": "false",
    }
    assert build["configuration"]["ProjectName"] == f"{NAME}-build"
    store = pipeline["artifactStore"]
    assert (store["location"], store["encryptionKey"]["type"]) == (BUCKET, "KMS")
    assert store["encryptionKey"]["id"].startswith("arn:")


def test_the_buildspec_that_the_project_names_is_in_the_repository(world: World) -> None:
    (project,) = world.client("codebuild").batch_get_projects(names=[f"{NAME}-build"])["projects"]
    assert (world.repository / project["source"]["buildspec"]).is_file()
    assert project["environment"].get("privilegedMode") is not True
    assert "image" in project["environment"]


def test_the_archive_of_main_starts_the_pipeline_and_another_branch_does_not(world: World) -> None:
    events = world.client("events")
    rule = events.describe_rule(Name=f"{NAME}-source")
    (target,) = events.list_targets_by_rule(Rule=f"{NAME}-source")["Targets"]
    assert target["Arn"].endswith(f":{NAME}") and ":codepipeline:" in target["Arn"]
    assert target["DeadLetterConfig"]["Arn"].endswith(f":{NAME}-undelivered-events")
    detail = json.loads(rule["EventPattern"])["detail"]
    assert detail == {"bucket": {"name": [SOURCE_BUCKET]}, "object": {"key": [f"{NAME}/main.zip"]}}


def test_people_hear_of_failures_and_of_versions_that_wait(world: World) -> None:
    events, told = world.client("events"), {}
    for name in ("delivery-failed", "training-failed", "approval-wanted"):
        (target,) = events.list_targets_by_rule(Rule=f"{NAME}-{name}")["Targets"]
        assert target["Arn"] == world.foundation.topic_arn
        transformer = target["InputTransformer"]
        text = json.loads(transformer["InputTemplate"])  # a JSON text, or SNS gets nothing
        placeholders = set(re.findall(r"<([^>]+)>", text))
        assert placeholders == set(transformer["InputPathsMap"])
        told[name] = text
    assert "--model-approval-status Approved" in told["approval-wanted"]
    (alarm,) = world.client("cloudwatch").describe_alarms(AlarmNames=[f"{NAME}-undelivered-events"])[
        "MetricAlarms"
    ]
    assert alarm["AlarmActions"] == [world.foundation.topic_arn]


def test_every_role_has_the_boundary_and_trusts_one_service_of_this_account(world: World) -> None:
    iam = world.client("iam")
    trusted = {}
    for role in ("pipeline", "build", "events", "sagemaker"):
        described = iam.get_role(RoleName=f"{NAME}-{role}")["Role"]
        assert described["PermissionsBoundary"]["PermissionsBoundaryArn"] == world.foundation.boundary_arn
        assert iam.list_attached_role_policies(RoleName=f"{NAME}-{role}")["AttachedPolicies"] == []
        statement = world.trust(f"{NAME}-{role}")
        assert statement["Condition"]["StringEquals"] == {"aws:SourceAccount": SHARED}
        trusted[role] = statement["Principal"]["Service"]
    assert trusted == {
        "pipeline": "codepipeline.amazonaws.com",
        "build": "codebuild.amazonaws.com",
        "events": "events.amazonaws.com",
        "sagemaker": "sagemaker.amazonaws.com",
    }


def test_everything_carries_the_project_tag(world: World) -> None:
    (tag,) = [
        tag
        for tag in world.client("s3").get_bucket_tagging(Bucket=BUCKET)["TagSet"]
        if tag["Key"] == "project"
    ]
    assert tag["Value"] == NAME
    role_tags = world.client("iam").list_role_tags(RoleName=f"{NAME}-build")["Tags"]
    assert {"Key": "project", "Value": NAME} in role_tags


def test_an_edited_yaml_is_enough_to_change_it(world: World) -> None:
    edit_yaml(world.repository / "config/project.yaml", tags={"cost-centre": "1234"})
    edit_yaml(world.repository / "config/model.yaml", schedule="cron(0 6 1 * ? *)")
    world.terraform.apply()
    tags = world.client("s3").get_bucket_tagging(Bucket=BUCKET)["TagSet"]
    assert {"Key": "cost-centre", "Value": "1234"} in tags
    rule = world.client("events").describe_rule(Name=f"{NAME}-schedule")
    assert rule["ScheduleExpression"] == "cron(0 6 1 * ? *)"
    (target,) = world.client("events").list_targets_by_rule(Rule=f"{NAME}-schedule")["Targets"]
    assert ":codepipeline:" in target["Arn"]
    world.terraform.assert_nothing_to_do()

    edit_yaml(world.repository / "config/model.yaml", schedule=None)
    world.terraform.apply()
    names = [rule["Name"] for rule in world.client("events").list_rules()["Rules"]]
    assert f"{NAME}-schedule" not in names


def test_credentials_of_another_account_make_nothing(world: World) -> None:
    other = Terraform(world.terraform.root, world.sandbox.environment(PRODUCTION))
    assert "AWS account ID not allowed" in other("plan", "-no-color", status=1)


def test_a_region_that_is_not_the_foundations_is_named(world: World) -> None:
    path = world.repository / "config/project.yaml"
    before = path.read_text(encoding="utf-8")
    edit_yaml(path, accounts={"shared_services": SHARED, "production": "333333333333"})
    try:
        output = world.terraform("plan", "-no-color", status=1)
    finally:
        path.write_text(before, encoding="utf-8")
    assert "accounts.production: expected the foundation's, 222222222222, got 333333333333" in " ".join(
        output.split()
    ).replace("│ ", "")


def test_destroy_stops_at_models_unless_told_and_then_leaves_nothing(world: World) -> None:
    s3 = world.client("s3")
    s3.put_object(Bucket=BUCKET, Key="models/run/model.tar.gz", Body=b"weights")
    world.terraform("destroy", "-auto-approve", "-no-color", status=1)
    assert s3.head_object(Bucket=BUCKET, Key="models/run/model.tar.gz")
    world.terraform.apply("-var", "delete_data=true")
    world.terraform("destroy", "-auto-approve", "-no-color", "-var", "delete_data=true")
    assert BUCKET not in {bucket["Name"] for bucket in s3.list_buckets()["Buckets"]}
    assert world.client("codepipeline").list_pipelines()["pipelines"] == []
    assert not [
        role for role in world.client("iam").list_roles()["Roles"] if role["RoleName"].startswith(NAME)
    ]
