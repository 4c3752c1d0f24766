"""terraform/delivery, applied in the sandbox: what starts the pipeline, what its stages are, what is left."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from moto.events.models import EventPattern

from mlops_workbench.sandbox.services.events.calls import matches
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

NAME, GROUP = "email-router-endpoint", "email-router"
BUCKET = f"mlops-{NAME}-{SHARED}-{REGION}"


def stages_of(world: World) -> dict[str, Any]:
    """The pipeline's stages by name."""
    pipeline = world.client("codepipeline").get_pipeline(name=NAME)["pipeline"]
    return {stage["name"]: stage for stage in pipeline["stages"]}


def lets_through(world: World, rule: str, event: Mapping[str, Any]) -> bool:
    """Whether a rule's pattern lets an event through."""
    pattern = world.client("events").describe_rule(Name=f"{NAME}-{rule}")["EventPattern"]
    return bool(matches(EventPattern.load(pattern), event))


@pytest.fixture(scope="module")
def world(generate: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Two accounts, a foundation with a permissions boundary, and the delivery applied by Terraform."""
    repository = generate(tmp_path_factory.mktemp("delivery"), directory="serverless-inference")
    with applied(repository, tmp_path_factory.mktemp("sandbox"), boundary=BOUNDARY) as world:
        yield world


def test_a_second_plan_is_empty(world: World) -> None:
    world.terraform.assert_nothing_to_do()


def test_staging_gives_production_its_artifact(world: World) -> None:
    stages = stages_of(world)
    assert list(stages) == ["Source", "Staging", "Production"]
    (source,), (staging,) = stages["Source"]["actions"], stages["Staging"]["actions"]
    approval, production = stages["Production"]["actions"]
    assert source["configuration"] == {
        "S3Bucket": SOURCE_BUCKET,
        "S3ObjectKey": f"{NAME}/main.zip",
        "PollForSourceChanges": "false",
    }
    assert [each["name"] for each in staging["inputArtifacts"]] == ["source"]
    assert staging["outputArtifacts"] == production["inputArtifacts"] == [{"name": "staged"}]
    assert staging["namespace"] == "Staging"
    assert staging["configuration"]["ProjectName"] == f"{NAME}-staging"
    assert production["configuration"]["ProjectName"] == f"{NAME}-production"
    assert (approval["runOrder"], production["runOrder"]) == (1, 2)
    for build in (staging, production):
        (variable,) = json.loads(build["configuration"]["EnvironmentVariables"])
        assert variable["name"] == "PIPELINE_EXECUTION_ID"
        assert variable["value"] == "#{codepipeline.PipelineExecutionId}"


def test_a_person_is_asked_with_what_the_test_said_and_only_about_something_new(world: World) -> None:
    production = stages_of(world)["Production"]
    (condition,) = production["beforeEntry"]["conditions"]
    assert condition["result"] == "SKIP"
    (rule,) = condition["rules"]
    assert rule["ruleTypeId"]["provider"] == "VariableCheck"
    assert rule["configuration"] == {"Variable": "#{Staging.PROMOTE}", "Operator": "EQ", "Value": "yes"}
    approval = production["actions"][0]
    assert approval["actionTypeId"]["provider"] == "Manual"
    assert approval["configuration"] == {
        "NotificationArn": world.foundation.topic_arn,
        "CustomData": "#{Staging.SUMMARY}",
        "ExternalEntityLink": "#{Staging.REPORT_URL}",
    }


def test_what_the_pipeline_takes_from_staging_its_buildspec_exports(world: World) -> None:
    text = json.dumps(stages_of(world)["Production"])
    wanted = set(re.findall(r"#\{Staging\.(\w+)\}", text))
    buildspec = yaml.safe_load((world.repository / "buildspecs/staging.yml").read_text(encoding="utf-8"))
    assert wanted == {"PROMOTE", "SUMMARY", "REPORT_URL"}
    assert wanted <= set(buildspec["env"]["exported-variables"])


@pytest.mark.parametrize("environment", ["staging", "production"])
def test_the_buildspec_that_a_project_names_is_in_the_repository(world: World, environment: str) -> None:
    (project,) = world.client("codebuild").batch_get_projects(names=[f"{NAME}-{environment}"])["projects"]
    assert (world.repository / project["source"]["buildspec"]).is_file()
    assert project["timeoutInMinutes"] == 60


def test_a_build_has_the_path_that_its_environments_deployment_role_lets_in(world: World) -> None:
    roles = {role["RoleName"]: role for role in world.client("iam").list_roles()["Roles"]}
    assert roles[f"{NAME}-staging"]["Path"] == "/mlops/deploy-staging/"
    assert roles[f"{NAME}-production"]["Path"] == "/mlops/deploy/"
    assert {roles[f"{NAME}-{role}"]["Path"] for role in ("pipeline", "events")} == {"/"}


def test_every_role_has_the_boundary_and_trusts_one_service_of_this_account(world: World) -> None:
    iam, trusted = world.client("iam"), {}
    for role in ("pipeline", "events", "staging", "production"):
        described = iam.get_role(RoleName=f"{NAME}-{role}")["Role"]
        assert described["PermissionsBoundary"]["PermissionsBoundaryArn"] == world.foundation.boundary_arn
        assert iam.list_attached_role_policies(RoleName=f"{NAME}-{role}")["AttachedPolicies"] == []
        statement = world.trust(f"{NAME}-{role}")
        assert statement["Condition"]["StringEquals"] == {"aws:SourceAccount": SHARED}
        trusted[role] = statement["Principal"]["Service"]
    assert trusted == {
        "pipeline": "codepipeline.amazonaws.com",
        "events": "events.amazonaws.com",
        "staging": "codebuild.amazonaws.com",
        "production": "codebuild.amazonaws.com",
    }


def uploaded(key: str) -> dict[str, Any]:
    """The documented event of an object that was written."""
    return {
        "version": "0",
        "id": "17793124-05d4-b198-2fde-7ededc63b103",
        "detail-type": "Object Created",
        "source": "aws.s3",
        "account": SHARED,
        "time": "2021-11-12T00:00:00Z",
        "region": REGION,
        "resources": [f"arn:aws:s3:::{SOURCE_BUCKET}"],
        "detail": {
            "version": "0",
            "bucket": {"name": SOURCE_BUCKET},
            "object": {
                "key": key,
                "size": 5,
                "etag": "b1946ac92492d2347c6235b4d2611184",
                "version-id": "IYV3p45BT0ac8hjHg1houSdS1a.Mro8e",
                "sequencer": "617f08299329d189",
            },
            "request-id": "N4N7GDK58NMKJ12R",
            "requester": SHARED,
            "source-ip-address": "1.2.3.4",
            "reason": "PutObject",
        },
    }


def decided(approval: str, group: str = GROUP) -> dict[str, Any]:
    """The documented event of a model package whose state has changed."""
    arn = f"arn:aws:sagemaker:{REGION}:{SHARED}:model-package/{group}/3"
    return {
        "version": "0",
        "id": "844e2571-85d4-695f-b930-0153b71dcb42",
        "detail-type": "SageMaker Model Package State Change",
        "source": "aws.sagemaker",
        "account": SHARED,
        "time": "2021-02-24T17:00:14Z",
        "region": REGION,
        "resources": [arn],
        "detail": {
            "ModelPackageGroupName": group,
            "ModelPackageVersion": 3,
            "ModelPackageArn": arn,
            "CreationTime": 1614185014000,
            "InferenceSpecification": {"Containers": [{"Image": "image", "ModelDataUrl": "s3://bucket/key"}]},
            "ModelPackageStatus": "Completed",
            "ModelPackageStatusDetails": {"ValidationStatuses": [], "ImageScanStatuses": []},
            "CertifyForMarketplace": False,
            "ModelApprovalStatus": approval,
            "UpdatedModelPackageFields": ["ModelApprovalStatus"],
        },
    }


@pytest.mark.parametrize(
    ("rule", "event", "starts"),
    [
        ("source", uploaded(f"{NAME}/main.zip"), True),
        ("source", uploaded(f"{NAME}/feature.zip"), False),
        ("source", uploaded(f"{GROUP}/main.zip"), False),
        ("source", decided("Approved"), False),
        ("model", decided("Approved"), True),
        ("model", decided("Rejected"), True),
        ("model", decided("PendingManualApproval"), False),  # training has registered a version
        ("model", decided("Approved", group="salaries"), False),
        ("model", uploaded(f"{NAME}/main.zip"), False),
    ],
)
def test_a_push_and_a_decision_about_a_model_start_the_pipeline(
    world: World, rule: str, event: dict[str, Any], starts: bool
) -> None:
    assert lets_through(world, rule, event) is starts
    (target,) = world.client("events").list_targets_by_rule(Rule=f"{NAME}-{rule}")["Targets"]
    assert target["Arn"] == f"arn:aws:codepipeline:{REGION}:{SHARED}:{NAME}"
    assert target["DeadLetterConfig"]["Arn"].endswith(f":{NAME}-undelivered-events")


def test_people_hear_of_a_delivery_that_failed_once(world: World) -> None:
    events = world.client("events")
    told = [
        (rule["Name"], target)
        for rule in events.list_rules()["Rules"]
        for target in events.list_targets_by_rule(Rule=rule["Name"])["Targets"]
        if target["Arn"] == world.foundation.topic_arn
    ]
    ((name, target),) = told  # that an approval is wanted, the pipeline tells by itself
    assert name == f"{NAME}-delivery-failed"
    transformer = target["InputTransformer"]
    text = json.loads(transformer["InputTemplate"])  # a JSON text, or SNS gets nothing
    assert set(re.findall(r"<([^>]+)>", text)) == set(transformer["InputPathsMap"])


@pytest.mark.parametrize("environment", ["staging", "production"])
def test_an_alarm_watches_whether_what_is_live_is_approved(world: World, environment: str) -> None:
    name = f"{NAME}-{environment}-live-model-not-approved"
    (alarm,) = world.client("cloudwatch").describe_alarms(AlarmNames=[name])["MetricAlarms"]
    assert (alarm["Namespace"], alarm["MetricName"]) == ("MLOps/Deployments", "LiveModelApproved")
    dimensions = {each["Name"]: each["Value"] for each in alarm["Dimensions"]}
    assert dimensions == {"Project": NAME, "Environment": environment}
    assert (alarm["ComparisonOperator"], alarm["Threshold"]) == ("LessThanThreshold", 1.0)
    assert alarm["TreatMissingData"] == "ignore"
    assert alarm["AlarmActions"] == alarm["OKActions"] == [world.foundation.topic_arn]


def test_artifacts_expire_and_records_do_not(world: World) -> None:
    rules = world.client("s3").get_bucket_lifecycle_configuration(Bucket=BUCKET)["Rules"]
    expiring = {rule["Filter"].get("Prefix", "") for rule in rules if "Days" in rule.get("Expiration", {})}
    assert expiring == {f"{NAME[:20]}/"}


def test_another_group_in_the_yaml_is_enough_to_follow_it(world: World) -> None:
    path = world.repository / "config/endpoint.yaml"
    before = path.read_text(encoding="utf-8")
    edit_yaml(path, model_package_group="complaints")
    try:
        world.terraform.apply()
        assert lets_through(world, "model", decided("Approved", group="complaints"))
        assert not lets_through(world, "model", decided("Approved"))
        world.terraform.assert_nothing_to_do()
    finally:
        path.write_text(before, encoding="utf-8")


def test_credentials_of_another_account_make_nothing(world: World) -> None:
    other = Terraform(world.terraform.root, world.sandbox.environment(PRODUCTION))
    assert "AWS account ID not allowed" in other("plan", "-no-color", status=1)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        (
            {"accounts": {"shared_services": SHARED, "production": "333333333333"}},
            "accounts.production: expected the foundation's, 222222222222, got 333333333333",
        ),
        ({"slug": "reports"}, "slug: reports is the name of a folder that the bucket already has"),
    ],
)
def test_a_configuration_that_cannot_work_is_named(
    world: World, changes: dict[str, Any], complaint: str
) -> None:
    path = world.repository / "config/project.yaml"
    before = path.read_text(encoding="utf-8")
    edit_yaml(path, **changes)
    try:
        output = world.terraform("plan", "-no-color", status=1)
    finally:
        path.write_text(before, encoding="utf-8")
    assert complaint in " ".join(output.replace("│", " ").split())


def test_destroy_stops_at_records_unless_told_and_then_leaves_nothing(world: World) -> None:
    s3 = world.client("s3")
    s3.put_object(Bucket=BUCKET, Key="deployments/production/live.json", Body=b"{}")
    world.terraform("destroy", "-auto-approve", "-no-color", status=1)
    assert s3.head_object(Bucket=BUCKET, Key="deployments/production/live.json")
    world.terraform.apply("-var", "delete_data=true")
    world.terraform("destroy", "-auto-approve", "-no-color", "-var", "delete_data=true")
    assert BUCKET not in {bucket["Name"] for bucket in s3.list_buckets()["Buckets"]}
    assert world.client("codepipeline").list_pipelines()["pipelines"] == []
    assert not [
        role for role in world.client("iam").list_roles()["Roles"] if role["RoleName"].startswith(NAME)
    ]
    alarms = world.client("cloudwatch").describe_alarms()["MetricAlarms"]
    assert not [alarm for alarm in alarms if alarm["AlarmName"].startswith(NAME)]
