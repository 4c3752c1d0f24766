"""terraform/endpoint, applied by the deployment roles in two accounts, with models that really answer.

Roles are enforced: what is made here, the foundation's deployment roles may make. The tests of a class of
changes are a story: each goes on where the one before it ended.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from mlops_workbench.sandbox.images import Images
from tests.foundation.terraform_roots import may
from tests.serverless_inference.terraform_endpoint import SLUG, Environment, add_model, make_environment
from tests.terraform_delivery import PRODUCTION, REGION, SHARED
from tests.terraform_deployment import MODELS, Registry, build_credentials, open_registry, policy

pytestmark = pytest.mark.slow

# 63 characters, cut in places where a hyphen stands
LONGEST = "the-router-of-the-emails-of-customers-in-production-for-2026-xy"


@pytest.fixture(scope="module")
def registry(
    generate: Callable[..., Path], container_python: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Registry]:
    """Two accounts with enforced roles, and a group with two approved versions."""
    with open_registry(generate, tmp_path_factory, Images.single(container_python)) as made:
        add_model(made)
        add_model(made)
        yield made


@pytest.fixture(scope="module")
def staging(serving: Path, registry: Registry, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    return make_environment("staging", serving, tmp_path_factory.mktemp("staging"), registry)


@pytest.fixture(scope="module")
def production(serving: Path, registry: Registry, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    folder = tmp_path_factory.mktemp("production")
    return make_environment("production", serving, folder, registry, endpoint_name=LONGEST)


def config_of(environment: Environment) -> dict[str, Any]:
    """The configuration that the endpoint has now."""
    sagemaker = environment.client("sagemaker")
    name = sagemaker.describe_endpoint(EndpointName=environment.endpoint_name)["EndpointConfigName"]
    return dict(sagemaker.describe_endpoint_config(EndpointConfigName=name))


def model_of(environment: Environment) -> dict[str, Any]:
    """The model that the endpoint has now."""
    (variant,) = config_of(environment)["ProductionVariants"]
    return dict(environment.client("sagemaker").describe_model(ModelName=variant["ModelName"]))


def role_policy(environment: Environment) -> dict[str, Any]:
    """The inline policy of the endpoint's role."""
    iam, name = environment.client("iam"), environment.service_role_arn.rsplit("/", 1)[-1]
    (only,) = iam.list_role_policies(RoleName=name)["PolicyNames"]
    return dict(iam.get_role_policy(RoleName=name, PolicyName=only)["PolicyDocument"])


def test_without_a_model_there_is_a_log_and_a_dashboard_and_no_endpoint(staging: Environment) -> None:
    staging.deploy(None)
    outputs = staging.outputs()
    assert set(outputs) == {"dashboard_url", "log_group"}  # Terraform leaves out what is null
    assert staging.client("sagemaker").list_endpoints()["Endpoints"] == []
    (group,) = staging.client("logs").describe_log_groups(logGroupNamePrefix=outputs["log_group"])[
        "logGroups"
    ]
    assert group["retentionInDays"] == 90
    assert group["kmsKeyId"].startswith(f"arn:aws:kms:{REGION}:{SHARED}:key/")
    assert alarms_of(staging) == {}


def test_a_record_with_a_model_becomes_an_endpoint_that_answers(staging: Environment) -> None:
    staging.deploy(1)
    assert staging.ask() == "v1 hello you"
    outputs = staging.outputs()
    assert outputs["endpoint_name"] == f"{SLUG}-staging"
    assert outputs["endpoint_arn"] == f"arn:aws:sagemaker:{REGION}:{SHARED}:endpoint/{SLUG}-staging"
    (variant,) = config_of(staging)["ProductionVariants"]
    assert variant["ServerlessConfig"] == {"MemorySizeInMB": 2048, "MaxConcurrency": 5}
    model = model_of(staging)
    assert model["PrimaryContainer"]["ModelPackageName"] == staging.registry.arns[1]
    assert model["ExecutionRoleArn"] == staging.service_role_arn


def test_what_the_containers_write_is_in_the_log(staging: Environment) -> None:
    with pytest.raises(ClientError, match="furnace"):
        staging.ask("raise")
    events = staging.client("logs").filter_log_events(logGroupName=staging.outputs()["log_group"])["events"]
    assert any("the furnace is cold" in event["message"] for event in events)


def test_another_version_takes_the_endpoint_over_and_changes_no_policy(staging: Environment) -> None:
    sagemaker = staging.client("sagemaker")
    made = sagemaker.describe_endpoint(EndpointName=staging.endpoint_name)
    before, allowed = config_of(staging), role_policy(staging)
    staging.deploy(2)
    assert staging.ask() == "v2 hello you"
    now = sagemaker.describe_endpoint(EndpointName=staging.endpoint_name)
    assert now["CreationTime"] == made["CreationTime"]  # the same one, not one made anew
    assert config_of(staging)["EndpointConfigName"] != before["EndpointConfigName"]
    assert role_policy(staging) == allowed
    # what the endpoint has left is gone
    assert len(sagemaker.list_endpoint_configs()["EndpointConfigs"]) == 1
    assert len(sagemaker.list_models()["Models"]) == 1


def test_other_settings_make_another_configuration(staging: Environment) -> None:
    staging.deploy(2, memory_mb=3072, max_concurrency=7, environment={"GREETING": "bonjour"})
    assert staging.ask() == "v2 bonjour you"
    (variant,) = config_of(staging)["ProductionVariants"]
    assert variant["ServerlessConfig"] == {"MemorySizeInMB": 3072, "MaxConcurrency": 7}


def test_a_version_that_cannot_start_leaves_the_old_one_in_service(staging: Environment) -> None:
    broken = add_model(staging.registry, archive=False)
    staging.record(broken)
    before, answer = config_of(staging)["EndpointConfigName"], staging.ask()
    output = staging.apply(status=1)
    assert "SageMaker went back to what it served before" in " ".join(output.replace("│", " ").split())
    assert staging.ask() == answer
    assert config_of(staging)["EndpointConfigName"] == before  # and it is there still

    # the next deployment is none the worse, and keeps what serves until the endpoint has moved
    staging.record(1)
    output = staging.apply()
    moved = output.index("aws_sagemaker_endpoint.this[0]: Modifications complete")
    destroyed = [found.start() for found in re.finditer(r"\(deposed object \w+\): Destroying", output)]
    assert len(destroyed) >= 4 and moved < min(destroyed)
    assert staging.ask() == "v1 hello you"
    staging.assert_nothing_to_do()
    assert len(staging.client("sagemaker").list_endpoint_configs()["EndpointConfigs"]) == 1


SCALED = {
    "minimum": 1,
    "maximum": 3,
    "target_utilization": 0.7,
    "schedule": [
        {
            "name": "office-hours",
            "cron": "cron(0 7 ? * MON-FRI *)",
            "timezone": "America/Toronto",
            "minimum": 2,
            "maximum": 4,
        }
    ],
}


def scaling_of(environment: Environment) -> tuple[list[Any], list[Any], list[Any]]:
    """Targets, policies and scheduled actions."""
    client = environment.client("application-autoscaling")
    return (
        client.describe_scalable_targets(ServiceNamespace="sagemaker")["ScalableTargets"],
        client.describe_scaling_policies(ServiceNamespace="sagemaker")["ScalingPolicies"],
        client.describe_scheduled_actions(ServiceNamespace="sagemaker")["ScheduledActions"],
    )


def test_provisioned_concurrency_follows_the_use_and_the_clock(staging: Environment) -> None:
    staging.deploy(1, provisioned_concurrency=SCALED)
    (variant,) = config_of(staging)["ProductionVariants"]
    assert variant["ServerlessConfig"]["ProvisionedConcurrency"] == 1
    (target,), (tracking,), (action,) = scaling_of(staging)
    assert target["ResourceId"] == f"endpoint/{SLUG}-staging/variant/AllTraffic"
    assert target["ScalableDimension"] == "sagemaker:variant:DesiredProvisionedConcurrency"
    assert (target["MinCapacity"], target["MaxCapacity"]) == (1, 3)
    tracked = tracking["TargetTrackingScalingPolicyConfiguration"]
    assert tracked["TargetValue"] == 0.7
    assert tracked["PredefinedMetricSpecification"]["PredefinedMetricType"] == (
        "SageMakerVariantProvisionedConcurrencyUtilization"
    )
    assert (action["Schedule"], action["Timezone"]) == ("cron(0 7 ? * MON-FRI *)", "America/Toronto")
    assert action["ScalableTargetAction"] == {"MinCapacity": 2, "MaxCapacity": 4}


def test_what_a_schedule_has_set_stays_until_the_configuration_says_otherwise(staging: Environment) -> None:
    (target,), _, _ = scaling_of(staging)
    identity = {key: target[key] for key in ("ServiceNamespace", "ResourceId", "ScalableDimension")}
    staging.client("application-autoscaling").register_scalable_target(
        **identity, MinCapacity=2, MaxCapacity=4
    )
    staging.assert_nothing_to_do()
    staging.deploy(1, provisioned_concurrency={**SCALED, "maximum": 5})
    (target,), policies, actions = scaling_of(staging)
    assert (target["MinCapacity"], target["MaxCapacity"]) == (1, 5)
    assert len(policies) == len(actions) == 1


def test_a_fixed_number_of_containers_needs_no_scaling(staging: Environment) -> None:
    staging.deploy(
        1, provisioned_concurrency={"minimum": 1, "maximum": 1, "target_utilization": 0.7, "schedule": []}
    )
    assert scaling_of(staging) == ([], [], [])
    (variant,) = config_of(staging)["ProductionVariants"]
    assert variant["ServerlessConfig"]["ProvisionedConcurrency"] == 1
    staging.deploy(1)
    (variant,) = config_of(staging)["ProductionVariants"]
    assert "ProvisionedConcurrency" not in variant["ServerlessConfig"]


def alarms_of(environment: Environment) -> dict[str, Any]:
    """The endpoint's alarms, by what their names end in."""
    beginning = f"{environment.endpoint_name}-"
    described = environment.client("cloudwatch").describe_alarms()["MetricAlarms"]
    return {
        each["AlarmName"].removeprefix(beginning): each
        for each in described
        if each["AlarmName"].startswith(beginning)
    }


def test_alarms_have_the_thresholds_of_the_configuration_in_the_units_of_the_metrics(
    staging: Environment,
) -> None:
    limits = {"error_percent": 2.5, "latency_p95_ms": 1500, "throttles": 2, "concurrency_percent": 60}
    staging.deploy(1, alarms=limits)
    alarms = alarms_of(staging)
    assert set(alarms) == {"concurrency", "errors", "latency", "throttles"}
    topics = {topic for alarm in alarms.values() for topic in alarm["AlarmActions"] + alarm["OKActions"]}
    assert topics == {f"arn:aws:sns:{REGION}:{SHARED}:mlops-notifications-staging"}
    latency, throttles = alarms["latency"], alarms["throttles"]
    assert (latency["MetricName"], latency["ExtendedStatistic"]) == ("ModelLatency", "p95")
    assert latency["Threshold"] == 1_500_000  # microseconds
    assert alarms["concurrency"]["Threshold"] == 0.6
    assert (throttles["Threshold"], throttles["ComparisonOperator"]) == (1, "GreaterThanOrEqualToThreshold")
    assert (throttles["DatapointsToAlarm"], throttles["EvaluationPeriods"]) == (3, 5)
    assert alarms["errors"]["Threshold"] == 2.5
    queries = {query["Id"]: query for query in alarms["errors"]["Metrics"]}
    assert {
        queries[id_]["MetricStat"]["Metric"]["MetricName"] for id_ in ("requests", "client", "server")
    } == {
        "Invocations",
        "Invocation4XXErrors",
        "Invocation5XXErrors",
    }
    watched = {
        (each["Name"], each["Value"]) for each in queries["client"]["MetricStat"]["Metric"]["Dimensions"]
    }
    assert watched == {("EndpointName", staging.endpoint_name), ("VariantName", "AllTraffic")}


def test_the_dashboard_shows_metrics_that_the_endpoint_has(staging: Environment) -> None:
    cloudwatch, name = staging.client("cloudwatch"), f"{SLUG}-staging"
    body = json.loads(cloudwatch.get_dashboard(DashboardName=name)["DashboardBody"])
    shown = {
        (metric[0], metric[1])
        for widget in body["widgets"]
        if widget["type"] == "metric"
        for metric in widget["properties"]["metrics"]
    }
    staging.ask()
    dimension = [{"Name": "EndpointName", "Value": staging.endpoint_name}]
    published = {
        (each["Namespace"], each["MetricName"])
        for each in cloudwatch.list_metrics(Dimensions=dimension)["Metrics"]
    }
    assert shown <= published
    assert staging.outputs()["dashboard_url"].endswith(f"#dashboards/dashboard/{name}")


def test_production_serves_a_version_of_the_other_account_under_the_longest_name(
    production: Environment,
) -> None:
    assert len(LONGEST) == 63
    production.deploy(1)
    assert production.ask() == "v1 hello you"
    production.deploy(2)
    assert production.ask() == "v2 hello you"
    model, config = model_of(production), config_of(production)
    assert f":{SHARED}:model-package/" in model["PrimaryContainer"]["ModelPackageName"]
    assert len(model["ModelName"]) <= 63 and len(config["EndpointConfigName"]) <= 63
    role = model["ExecutionRoleArn"].rsplit("/", 1)[-1]
    assert len(role) <= 64 and role.endswith("-endpoint")
    assert "/mlops/service/" in model["ExecutionRoleArn"]


LOGS = f"arn:aws:logs:{REGION}:{SHARED}:log-group:/aws/sagemaker/Endpoints"
KEY, DLC = f"arn:aws:kms:{REGION}:{SHARED}:key/of-the-models", f"arn:aws:ecr:{REGION}:763104351884:repository"
BY_S3 = {"kms:ViaService": f"s3.{REGION}.amazonaws.com"}
OF_MODELS = {**BY_S3, "kms:EncryptionContext:aws:s3:arn": f"arn:aws:s3:::{MODELS}/models/run-1/model.tar.gz"}


@pytest.mark.parametrize(
    ("action", "resource", "conditions", "allowed"),
    [
        ("s3:GetObject", f"arn:aws:s3:::{MODELS}/models/run-7/model.tar.gz", {}, True),
        ("s3:ListBucket", f"arn:aws:s3:::{MODELS}", {"s3:prefix": "models/run-7/model.tar.gz"}, True),
        ("kms:Decrypt", KEY, OF_MODELS, True),
        ("ecr:GetAuthorizationToken", "*", {}, True),
        ("ecr:BatchGetImage", f"{DLC}/huggingface-pytorch-inference", {}, True),
        ("logs:CreateLogStream", f"{LOGS}/{SLUG}-staging:log-stream:AllTraffic/1", {}, True),
        ("logs:PutLogEvents", f"{LOGS}/{SLUG}-staging:log-stream:AllTraffic/1", {}, True),
        ("cloudwatch:PutMetricData", "*", {"cloudwatch:namespace": "/aws/sagemaker/Endpoints"}, True),
        ("s3:GetObject", f"arn:aws:s3:::{MODELS}/data/0123/emails.csv", {}, False),
        ("s3:GetObject", "arn:aws:s3:::mlops-salaries-111111111111-ca-central-1/models/x", {}, False),
        ("s3:PutObject", f"arn:aws:s3:::{MODELS}/models/run-7/model.tar.gz", {}, False),
        ("s3:ListBucket", f"arn:aws:s3:::{MODELS}", {"s3:prefix": "data/"}, False),
        ("kms:Decrypt", KEY, {}, False),
        ("kms:Decrypt", KEY, {**BY_S3, "kms:EncryptionContext:aws:s3:arn": "arn:aws:s3:::salaries"}, False),
        ("kms:GenerateDataKey", KEY, OF_MODELS, False),
        ("ecr:BatchGetImage", f"{DLC}/huggingface-pytorch-training", {}, False),
        ("logs:CreateLogGroup", f"{LOGS}/{SLUG}-staging", {}, False),
        ("logs:PutLogEvents", f"{LOGS}/another:log-stream:AllTraffic/1", {}, False),
        ("cloudwatch:PutMetricData", "*", {"cloudwatch:namespace": "MLOps/Deployments"}, False),
        ("sagemaker:InvokeEndpoint", f"arn:aws:sagemaker:{REGION}:{SHARED}:endpoint/any", {}, False),
        (
            "sagemaker:DescribeModelPackage",
            f"arn:aws:sagemaker:{REGION}:{SHARED}:model-package/x/1",
            {},
            False,
        ),
        ("sts:AssumeRole", f"arn:aws:iam::{SHARED}:role/mlops-deployment-staging", {}, False),
        ("iam:PassRole", f"arn:aws:iam::{SHARED}:role/mlops/service-staging/x", {}, False),
    ],
)
def test_the_endpoints_role_reads_models_and_writes_its_log_and_nothing_else(
    staging: Environment, action: str, resource: str, conditions: dict[str, str], allowed: bool
) -> None:
    assert may(staging.service_role_arn, action, resource, conditions) is allowed


def test_the_endpoints_role_is_bounded_and_trusts_sagemaker_of_this_account(staging: Environment) -> None:
    name = staging.service_role_arn.rsplit("/", 1)[-1]
    role = staging.client("iam").get_role(RoleName=name)["Role"]
    assert role["PermissionsBoundary"]["PermissionsBoundaryArn"].endswith(":policy/mlops-staging-boundary")
    (statement,) = role["AssumeRolePolicyDocument"]["Statement"]
    assert statement["Principal"] == {"Service": "sagemaker.amazonaws.com"}
    assert statement["Condition"] == {
        "StringEquals": {"aws:SourceAccount": SHARED},
        "ArnLike": {"aws:SourceArn": f"arn:aws:sagemaker:{REGION}:{SHARED}:*"},
    }


def test_the_build_of_one_environment_cannot_deploy_the_other(
    staging: Environment, production: Environment
) -> None:
    own = dict(production.terraform.environment)
    try:
        keys = build_credentials(staging.sandbox, SLUG, "staging")
        production.terraform.environment.update(keys)
        assert "Cannot assume IAM Role" in production.refusal()
    finally:
        production.terraform.environment.update(own)
    assert "AWS account ID not allowed" in staging.refusal(
        environment="staging", **role_of(staging, PRODUCTION)
    )


def role_of(environment: Environment, account: str) -> dict[str, str]:
    """A role of another account that lets this build in: a deployment to the wrong place."""
    iam = environment.sandbox.client("iam", account)
    trust = {
        "Effect": "Allow",
        "Action": "sts:AssumeRole",
        "Principal": {"AWS": f"arn:aws:iam::{SHARED}:root"},
    }
    iam.create_role(RoleName="elsewhere", AssumeRolePolicyDocument=policy(trust))
    return {"deployment_role_arn": f"arn:aws:iam::{account}:role/elsewhere"}


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        (
            {"provisioned_concurrency": {**SCALED, "maximum": 6}},
            "staging.provisioned_concurrency.maximum: expected at most max_concurrency, 5, got 6",
        ),
        (
            {"environment": {f"V{number}": "" for number in range(101)}},
            "staging.environment: expected at most 100 variables, got 101",
        ),
    ],
)
def test_settings_that_sagemaker_would_refuse_are_refused_before_anything_is_changed(
    staging: Environment, settings: dict[str, Any], complaint: str
) -> None:
    staging.record(1, **settings)
    assert complaint in staging.refusal()


def test_a_record_that_is_not_of_this_environment_is_refused(staging: Environment, tmp_path: Path) -> None:
    staging.record(1)
    assert "environment: expected production, got staging" in staging.refusal(environment="production")
    assert "expected staging or production, got test" in staging.refusal(environment="test")
    assert "expected the path of a deployment's record" in staging.refusal(deployment=str(tmp_path / "none"))
    for name, value, complaint in [
        ("version", 2, "version: expected 1"),
        ("endpoint_name", "a_b", "endpoint_name: expected 1 to 63 letters, digits and hyphens"),
        ("model", {"data_url": "model.tar.gz", "image": "python"}, "model: expected data_url s3://"),
    ]:
        staging.record(1)
        document = json.loads((staging.repository / "staging.json").read_text(encoding="utf-8"))
        path = tmp_path / f"{name}.json"
        path.write_text(json.dumps({**document, name: value}), encoding="utf-8")
        assert complaint in staging.refusal(deployment=str(path))


def test_an_endpoint_is_taken_down_by_a_record_without_a_model(staging: Environment) -> None:
    staging.deploy(None)
    wait_until_gone(staging)
    sagemaker = staging.client("sagemaker")
    assert sagemaker.list_endpoint_configs()["EndpointConfigs"] == sagemaker.list_models()["Models"] == []
    assert alarms_of(staging) == {}


def wait_until_gone(environment: Environment, seconds: float = 60.0) -> None:
    """An endpoint ends what it is doing before it is deleted."""
    end = time.monotonic() + seconds
    while endpoints := environment.client("sagemaker").list_endpoints()["Endpoints"]:
        assert [each["EndpointStatus"] for each in endpoints] == ["Deleting"]
        assert time.monotonic() < end, endpoints
        time.sleep(0.2)


def test_destroy_leaves_nothing(staging: Environment, production: Environment) -> None:
    for environment in (staging, production):
        environment.destroy()
        wait_until_gone(environment)
        roles = environment.client("iam").list_roles()["Roles"]
        assert not [role for role in roles if role["RoleName"].endswith("-endpoint")]
        groups = environment.client("logs").describe_log_groups()["logGroups"]
        assert not [group for group in groups if "/Endpoints/" in group["logGroupName"]]
        assert environment.client("cloudwatch").list_dashboards()["DashboardEntries"] == []
