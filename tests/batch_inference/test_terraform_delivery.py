"""terraform/delivery, applied in the sandbox: what starts the pipeline, who may do what, what is left.

What the pipeline's stages are is the promotion's, which tests/serverless_inference looks at more closely.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.batch_inference.terraform_batch import SLUG, TEMPLATE, make_repository
from tests.foundation.terraform_roots import may
from tests.promotion import SAGEMAKER, common_cases, role_arn
from tests.terraform_delivery import (
    BOUNDARY,
    PRODUCTION,
    REGION,
    SHARED,
    Case,
    World,
    applied,
    case_name,
    edit_yaml,
)
from tests.terraform_deployment import GROUP

pytestmark = pytest.mark.slow

BUCKET = f"mlops-{SLUG}-{SHARED}-{REGION}"
MODELS = f"arn:aws:s3:::mlops-{GROUP}-{SHARED}-{REGION}"
VERSION, GROUP_ARN = f"{SAGEMAKER}:model-package/{GROUP}/3", f"{SAGEMAKER}:model-package-group/{GROUP}"

# role, action, resource ("key": the delivery's, "foundation key": the foundation's), conditions, allowed
CASES: list[Case] = [
    *common_cases(SLUG, GROUP),
    # staging's build sees whether a version is approved: without one there is nothing to try
    ("staging", "sagemaker:ListModelPackages", GROUP_ARN, {}, True),
    ("staging", "sagemaker:ListModelPackages", VERSION, {}, True),
    ("staging", "sagemaker:DescribeModelPackage", VERSION, {}, True),
    ("staging", "sagemaker:DescribeModelPackageGroup", GROUP_ARN, {}, True),
    ("staging", "s3:ListBucket", MODELS, {"s3:prefix": "models/run-1/model.tar.gz"}, False),
    (
        "staging",
        "s3:GetObject",
        f"arn:aws:s3:::mlops-{SLUG}-staging-{SHARED}-{REGION}/input/a.csv",
        {},
        False,
    ),
    ("staging", "sagemaker:StartPipelineExecution", f"{SAGEMAKER}:pipeline/{SLUG}-staging", {}, False),
    ("staging", "cloudwatch:PutMetricData", "*", {"cloudwatch:namespace": "MLOps/Deployments"}, False),
    # production's build needs to know nothing of models
    ("production", "sagemaker:DescribeModelPackage", VERSION, {}, False),
    ("production", "sagemaker:ListModelPackages", VERSION, {}, False),
    ("production", "s3:GetObject", f"arn:aws:s3:::mlops-{SLUG}-staging-{SHARED}-{REGION}/x", {}, False),
    (
        "production",
        "s3:GetObject",
        f"arn:aws:s3:::mlops-{SLUG}-production-{PRODUCTION}-{REGION}/input/a.csv",
        {},
        False,
    ),
]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Two accounts, a foundation with a permissions boundary, and the delivery applied by Terraform."""
    repository = make_repository(tmp_path_factory.mktemp("delivery"))
    with applied(repository, tmp_path_factory.mktemp("sandbox"), boundary=BOUNDARY) as world:
        yield world


def stages_of(world: World) -> dict[str, Any]:
    """The pipeline's stages by name."""
    pipeline = world.client("codepipeline").get_pipeline(name=SLUG)["pipeline"]
    return {stage["name"]: stage for stage in pipeline["stages"]}


def test_a_second_plan_is_empty(world: World) -> None:
    world.terraform.assert_nothing_to_do()


def test_staging_gives_production_its_artifact_and_a_person_is_asked_in_between(world: World) -> None:
    stages = stages_of(world)
    assert list(stages) == ["Source", "Staging", "Production"]
    (staging,), (approval, production) = stages["Staging"]["actions"], stages["Production"]["actions"]
    assert approval["actionTypeId"]["provider"] == "Manual"
    assert staging["outputArtifacts"] == production["inputArtifacts"] == [{"name": "staged"}]
    assert staging["configuration"]["ProjectName"] == f"{SLUG}-staging"
    assert production["configuration"]["ProjectName"] == f"{SLUG}-production"


def test_what_the_pipeline_takes_from_staging_its_buildspec_exports(world: World) -> None:
    wanted = set(re.findall(r"#\{Staging\.(\w+)\}", json.dumps(stages_of(world)["Production"])))
    buildspec = yaml.safe_load((TEMPLATE / "buildspecs/staging.yml").read_text(encoding="utf-8"))
    assert wanted <= set(buildspec["env"]["exported-variables"])


@pytest.mark.parametrize("environment", ["staging", "production"])
def test_the_buildspec_that_a_project_names_is_in_the_repository(world: World, environment: str) -> None:
    (project,) = world.client("codebuild").batch_get_projects(names=[f"{SLUG}-{environment}"])["projects"]
    assert (TEMPLATE / project["source"]["buildspec"]).is_file()


def test_a_push_starts_the_pipeline_and_nothing_else_does(world: World) -> None:
    events = world.client("events")
    started_by = {
        rule["Name"]
        for rule in events.list_rules()["Rules"]
        for target in events.list_targets_by_rule(Rule=rule["Name"])["Targets"]
        if target["Arn"] == f"arn:aws:codepipeline:{REGION}:{SHARED}:{SLUG}"
    }
    assert started_by == {
        f"{SLUG}-source"
    }  # a newly approved model answers the next file, and needs no build
    pattern = json.loads(events.describe_rule(Name=f"{SLUG}-source")["EventPattern"])
    assert pattern["detail"]["object"] == {"key": [f"{SLUG}/main.zip"]}


def test_a_build_has_the_path_that_its_environments_deployment_role_lets_in(world: World) -> None:
    roles = {role["RoleName"]: role for role in world.client("iam").list_roles()["Roles"]}
    for role in ("pipeline", "events", "staging", "production"):
        found = roles[f"{SLUG}-{role}"]
        assert found["Arn"] == role_arn(SLUG, role)
        assert world.trust(f"{SLUG}-{role}")["Condition"]["StringEquals"] == {"aws:SourceAccount": SHARED}


@pytest.mark.parametrize("case", CASES, ids=case_name)
def test_a_role_may_do_what_it_has_to_and_nothing_beside_it(world: World, case: Case) -> None:
    role, action, resource, conditions, allowed = case
    keys = {
        "key": world.client("kms").describe_key(KeyId=f"alias/{SLUG}")["KeyMetadata"]["Arn"],
        "foundation key": world.foundation.kms_key_arn,
    }
    assert may(role_arn(SLUG, role), action, keys.get(resource, resource), conditions) is allowed


def test_a_configuration_that_is_not_the_foundations_is_named(world: World) -> None:
    path: Path = world.repository / "config/project.yaml"
    before = path.read_text(encoding="utf-8")
    edit_yaml(path, accounts={"shared_services": SHARED, "production": "333333333333"})
    try:
        output = " ".join(world.terraform("plan", "-no-color", status=1).replace("│", " ").split())
    finally:
        path.write_text(before, encoding="utf-8")
    assert "accounts.production: expected the foundation's, 222222222222, got 333333333333" in output


def test_destroy_stops_at_records_unless_told_and_then_leaves_nothing(world: World) -> None:
    s3 = world.client("s3")
    s3.put_object(Bucket=BUCKET, Key="deployments/production/live.json", Body=b"{}")
    world.terraform("destroy", "-auto-approve", "-no-color", status=1)
    assert s3.head_object(Bucket=BUCKET, Key="deployments/production/live.json")
    world.terraform.apply("-var", "delete_data=true")
    world.terraform("destroy", "-auto-approve", "-no-color", "-var", "delete_data=true")
    assert BUCKET not in {bucket["Name"] for bucket in s3.list_buckets()["Buckets"]}
    assert world.client("codepipeline").list_pipelines()["pipelines"] == []
    roles = world.client("iam").list_roles()["Roles"]
    assert not [role for role in roles if role["RoleName"].startswith(SLUG)]
    assert world.client("cloudwatch").describe_alarms()["MetricAlarms"] == []
