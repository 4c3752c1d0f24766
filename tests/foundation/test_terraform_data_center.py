"""The foundation for Bitbucket Data Center in two accounts: applied, planned again, edited, taken down."""

import json
from collections.abc import Iterator
from typing import Any

import botocore.exceptions
import pytest
from mlops_sandbox import Sandbox

from tests.foundation.terraform_roots import (
    CHANGES,
    DATA_CENTER,
    NO_CHANGES,
    PRODUCTION,
    REGION,
    SHARED,
    Root,
    apply_together,
    may,
    open_roots,
    trusts,
)

pytestmark = pytest.mark.slow

SOURCE = f"mlops-source-{SHARED}-{REGION}"
STATE = f"mlops-terraform-state-{SHARED}-{REGION}"
WEBHOOK = f"arn:aws:iam::{SHARED}:role/mlops-bitbucket-webhook"
FETCH = f"arn:aws:iam::{SHARED}:role/mlops-bitbucket-fetch"
DEPLOYMENT = f"arn:aws:iam::{PRODUCTION}:role/mlops-deployment"
BOUNDARY = f"arn:aws:iam::{PRODUCTION}:policy/mlops-production-boundary"
SECRETS = f"arn:aws:secretsmanager:{REGION}:{SHARED}:secret:mlops/bitbucket"
QUEUE = f"arn:aws:sqs:{REGION}:{SHARED}:mlops-bitbucket"

Applied = tuple[Sandbox, Root, Root]


@pytest.fixture(scope="module")
def applied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Applied]:
    """Both roots, applied once for the tests below; the last test takes them down."""
    folder = tmp_path_factory.mktemp("data-center")
    with Sandbox(folder / "sandbox", accounts=(SHARED, PRODUCTION), region=REGION) as sandbox:
        hosting = {**DATA_CENTER, "create_permissions_boundary": True}
        shared, production = open_roots(sandbox, folder, hosting, PRODUCTION)
        apply_together(shared, production)
        yield sandbox, shared, production


def parameter(sandbox: Sandbox, name: str, account: str) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(
        sandbox.client("ssm", account).get_parameter(Name=name)["Parameter"]["Value"]
    )
    return value


def test_applying_again_changes_nothing(applied: Applied) -> None:
    _, shared, production = applied
    assert shared.plan() == NO_CHANGES
    assert production.plan() == NO_CHANGES


def test_the_parameter_tells_the_repositories_what_there_is(applied: Applied) -> None:
    sandbox, _, _ = applied
    foundation = parameter(sandbox, "/mlops/foundation", SHARED)
    api = sandbox.client("apigatewayv2").get_apis()["Items"][0]
    key = sandbox.client("kms").describe_key(KeyId="alias/mlops")["KeyMetadata"]["Arn"]
    assert foundation == {
        "version": 1,
        "region": REGION,
        "shared_services_account_id": SHARED,
        "production_account_id": PRODUCTION,
        "state_bucket": STATE,
        "source_bucket": SOURCE,
        "kms_key_arn": key,
        "notifications_topic_arn": f"arn:aws:sns:{REGION}:{SHARED}:mlops-notifications",
        "deployment_role_arn": DEPLOYMENT,
        "permissions_boundary_arn": f"arn:aws:iam::{SHARED}:policy/mlops-boundary",
        "log_retention_days": 365,
        "bitbucket_hosting": "data-center",
        "webhook_url": f"{api['ApiEndpoint']}/bitbucket",
        "webhook_secret_prefix": "mlops/bitbucket/webhook/",
        "publisher_role_arn": None,
    }
    there = parameter(sandbox, "/mlops/foundation-production", PRODUCTION)
    assert (there["deployment_role_arn"], there["permissions_boundary_arn"]) == (DEPLOYMENT, BOUNDARY)
    sandbox.client("iam", PRODUCTION).get_role(RoleName="mlops-deployment")


def test_sources_are_versioned_announced_and_encrypted_with_our_key(applied: Applied) -> None:
    sandbox, _, _ = applied
    s3 = sandbox.client("s3")
    assert s3.get_bucket_versioning(Bucket=SOURCE)["Status"] == "Enabled"
    assert "EventBridgeConfiguration" in s3.get_bucket_notification_configuration(Bucket=SOURCE)
    assert all(s3.get_public_access_block(Bucket=SOURCE)["PublicAccessBlockConfiguration"].values())
    rule = s3.get_bucket_encryption(Bucket=SOURCE)["ServerSideEncryptionConfiguration"]["Rules"][0]
    key = parameter(sandbox, "/mlops/foundation", SHARED)["kms_key_arn"]
    assert rule["ApplyServerSideEncryptionByDefault"] == {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key}


@pytest.mark.parametrize(
    "encryption",
    [
        {"ServerSideEncryption": "AES256"},
        {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": f"arn:aws:kms:{REGION}:{SHARED}:key/another"},
    ],
)
def test_an_object_under_another_key_is_refused(applied: Applied, encryption: dict[str, str]) -> None:
    s3 = applied[0].client("s3")
    with pytest.raises(botocore.exceptions.ClientError, match="AccessDenied"):
        s3.put_object(Bucket=SOURCE, Key="router/main.zip", Body=b"zip", **encryption)


def test_what_fails_goes_to_the_dead_letters_and_then_to_people(applied: Applied) -> None:
    sandbox, _, _ = applied
    sqs, functions = sandbox.client("sqs"), sandbox.client("lambda")
    url = sqs.get_queue_url(QueueName="mlops-bitbucket")["QueueUrl"]
    redrive = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]["RedrivePolicy"]
    assert json.loads(redrive)["deadLetterTargetArn"] == f"{QUEUE}-dead-letters"
    mapping = functions.list_event_source_mappings(FunctionName="mlops-bitbucket-fetch")
    assert mapping["EventSourceMappings"][0]["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    alarms = {a["AlarmName"]: a for a in sandbox.client("cloudwatch").describe_alarms()["MetricAlarms"]}
    topic = parameter(sandbox, "/mlops/foundation", SHARED)["notifications_topic_arn"]
    assert {"dead-letters", "fetch-errors", "fetch-throttles", "webhook-errors", "webhook-throttles"} <= {
        name.removeprefix("mlops-bitbucket-") for name in alarms
    }
    assert all(alarm["AlarmActions"] == [topic] for alarm in alarms.values())


VIA = "kms:ViaService"


@pytest.mark.parametrize(
    ("role", "action", "resource", "allowed"),
    [
        (WEBHOOK, "secretsmanager:GetSecretValue", f"{SECRETS}/webhook/router-AbCdEf", True),
        (WEBHOOK, "sqs:SendMessage", QUEUE, True),
        (WEBHOOK, "secretsmanager:GetSecretValue", f"{SECRETS}/token-AbCdEf", False),
        (WEBHOOK, "secretsmanager:PutSecretValue", f"{SECRETS}/webhook/router-AbCdEf", False),
        (WEBHOOK, "sqs:ReceiveMessage", QUEUE, False),
        (WEBHOOK, "s3:PutObject", f"arn:aws:s3:::{SOURCE}/router/main.zip", False),
        (FETCH, "sqs:ReceiveMessage", QUEUE, True),
        (FETCH, "sqs:DeleteMessage", QUEUE, True),
        (FETCH, "s3:PutObject", f"arn:aws:s3:::{SOURCE}/router/feature/x.zip", True),
        (FETCH, "s3:GetObject", f"arn:aws:s3:::{SOURCE}/router/main.zip", True),
        (FETCH, "s3:ListBucket", f"arn:aws:s3:::{SOURCE}", True),
        (FETCH, "s3:DeleteObject", f"arn:aws:s3:::{SOURCE}/router/main.zip", False),
        (FETCH, "s3:PutObject", f"arn:aws:s3:::{STATE}/foundation/shared-services.tfstate", False),
        (FETCH, "secretsmanager:GetSecretValue", f"{SECRETS}/webhook/router-AbCdEf", False),
        (FETCH, "sqs:SendMessage", QUEUE, False),
    ],
)
def test_what_the_bridges_functions_may_do(
    applied: Applied, role: str, action: str, resource: str, allowed: bool
) -> None:
    assert may(role, action, resource) is allowed


def test_the_bridge_uses_the_key_through_its_services_only(applied: Applied) -> None:
    key = parameter(applied[0], "/mlops/foundation", SHARED)["kms_key_arn"]
    assert may(FETCH, "kms:Decrypt", key, {VIA: f"sqs.{REGION}.amazonaws.com"})
    assert not may(FETCH, "kms:Decrypt", key)
    assert not may(WEBHOOK, "kms:Decrypt", key, {VIA: f"s3.{REGION}.amazonaws.com"})


def in_production(service: str, resource: str) -> str:
    return f"arn:aws:{service}:{REGION}:{PRODUCTION}:{resource}"


ROLE = f"arn:aws:iam::{PRODUCTION}:role/mlops/service/router-lambda"
BOUNDED = {"iam:PermissionsBoundary": BOUNDARY}
STATE_THERE = f"arn:aws:s3:::mlops-terraform-state-{PRODUCTION}-{REGION}"


@pytest.mark.parametrize(
    ("action", "resource", "conditions", "allowed"),
    [
        ("sagemaker:CreateEndpoint", in_production("sagemaker", "endpoint/router"), {}, True),
        ("sagemaker:UpdateEndpoint", in_production("sagemaker", "endpoint/router"), {}, True),
        ("sagemaker:CreatePipeline", in_production("sagemaker", "pipeline/router"), {}, True),
        ("sagemaker:CreateTrainingJob", in_production("sagemaker", "training-job/router"), {}, False),
        ("lambda:CreateFunction", in_production("lambda", "function:router"), {}, True),
        ("events:PutRule", in_production("events", "rule/router"), {}, True),
        ("logs:CreateLogGroup", in_production("logs", "log-group:/aws/lambda/router"), {}, True),
        ("cloudwatch:PutMetricAlarm", in_production("cloudwatch", "alarm:router"), {}, True),
        ("s3:CreateBucket", "arn:aws:s3:::mlops-router-data", {}, True),
        ("s3:CreateBucket", "arn:aws:s3:::another-teams-data", {}, False),
        ("iam:CreateRole", ROLE, BOUNDED, True),
        ("iam:PutRolePolicy", ROLE, BOUNDED, True),
        ("iam:CreateRole", ROLE, {}, False),
        ("iam:CreateRole", f"arn:aws:iam::{PRODUCTION}:role/admin", BOUNDED, False),
        ("iam:DeleteRolePermissionsBoundary", ROLE, {}, False),
        ("iam:PassRole", ROLE, {"iam:PassedToService": "lambda.amazonaws.com"}, True),
        ("iam:PassRole", ROLE, {"iam:PassedToService": "ec2.amazonaws.com"}, False),
        ("iam:PutRolePolicy", DEPLOYMENT, BOUNDED, False),
        ("iam:UpdateAssumeRolePolicy", DEPLOYMENT, {}, False),
        ("iam:CreatePolicyVersion", BOUNDARY, {}, False),
        ("iam:CreateUser", f"arn:aws:iam::{PRODUCTION}:user/x", {}, False),
        ("sts:AssumeRole", f"arn:aws:iam::{PRODUCTION}:role/admin", {}, False),
        ("s3:PutObject", f"{STATE_THERE}/deployment/router/staging.tfstate", {}, True),
        ("s3:GetObject", f"{STATE_THERE}/foundation/production.tfstate", {}, False),
        ("s3:PutObject", f"{STATE_THERE}/foundation/production.tfstate", {}, False),
        ("s3:DeleteBucket", STATE_THERE, {}, False),
        ("s3:PutBucketPolicy", STATE_THERE, {}, False),
        ("ssm:GetParameter", in_production("ssm", "parameter/mlops/foundation-production"), {}, True),
        ("ssm:PutParameter", in_production("ssm", "parameter/mlops/foundation-production"), {}, False),
        ("sns:DeleteTopic", in_production("sns", "mlops-notifications-production"), {}, False),
        ("kms:ScheduleKeyDeletion", in_production("kms", "key/any"), {}, False),
    ],
)
def test_what_a_deployment_may_do(
    applied: Applied, action: str, resource: str, conditions: dict[str, str | bool], allowed: bool
) -> None:
    assert may(DEPLOYMENT, action, resource, conditions) is allowed


@pytest.mark.parametrize(
    ("caller", "account", "admitted"),
    [
        (f"arn:aws:iam::{SHARED}:role/mlops/deploy/router-deploy", SHARED, True),
        (f"arn:aws:iam::{SHARED}:role/mlops/deploy/endpoint/any", SHARED, True),
        (f"arn:aws:iam::{SHARED}:role/router-build", SHARED, False),
        (f"arn:aws:iam::{SHARED}:role/other/mlops/deploy/router", SHARED, False),
        (f"arn:aws:iam::{SHARED}:user/somebody", SHARED, False),
        ("arn:aws:iam::333333333333:role/mlops/deploy/router-deploy", "333333333333", False),
    ],
)
def test_only_roles_under_the_path_deploy(
    applied: Applied, caller: str, account: str, admitted: bool
) -> None:
    role = applied[0].client("iam", PRODUCTION).get_role(RoleName="mlops-deployment")["Role"]
    assert trusts(json.dumps(role["AssumeRolePolicyDocument"]), caller, account) is admitted


def test_no_plan_deletes_a_bucket_or_a_key(applied: Applied) -> None:
    _, shared, _ = applied
    assert "prevent_destroy" in shared.refusal("plan", "-destroy", "-no-color")


def test_an_edited_variable_is_applied_from_the_state_in_the_bucket(applied: Applied) -> None:
    sandbox, shared, production = applied
    for root in (shared, production):
        root.move_state(into_bucket=True)
        assert root.plan() == NO_CHANGES
        root.set(log_retention_days=30, tags={"cost-centre": "42"})
        assert root.plan() == CHANGES
        root.apply()
        assert root.plan() == NO_CHANGES
    stored = sandbox.client("s3").head_object(Bucket=STATE, Key="foundation/shared-services.tfstate")
    assert stored["ServerSideEncryption"] == "aws:kms"
    assert parameter(sandbox, "/mlops/foundation", SHARED)["log_retention_days"] == 30
    groups = sandbox.client("logs").describe_log_groups()["logGroups"]
    assert {group["retentionInDays"] for group in groups if "mlops-bitbucket" in group["logGroupName"]} == {
        30
    }


def test_changed_code_must_be_packed_again(applied: Applied) -> None:
    _, shared, _ = applied
    module = shared.folder.parent / "bridge" / "__init__.py"
    before = module.read_text()
    try:
        module.write_text(before + "\nCHANGED = True\n")
        assert "Run: python3 ../package.py" in shared.refusal("plan", "-no-color")
    finally:
        module.write_text(before)


def test_taking_it_down_leaves_the_data_and_nothing_else(applied: Applied) -> None:
    sandbox, shared, production = applied
    s3 = sandbox.client("s3")
    s3.put_object(Bucket=SOURCE, Key="router/main.zip", Body=b"a source")
    for root in (production, shared):
        root.move_state(into_bucket=False)
        root.take_down()
    assert s3.get_object(Bucket=SOURCE, Key="router/main.zip")["Body"].read() == b"a source"
    key = sandbox.client("kms").describe_key(KeyId="alias/mlops")["KeyMetadata"]
    assert key["KeyState"] == "Enabled"
    for account in (SHARED, PRODUCTION):
        assert sandbox.client("lambda", account).list_functions()["Functions"] == []
        assert "QueueUrls" not in sandbox.client("sqs", account).list_queues()
        assert sandbox.client("sns", account).list_topics()["Topics"] == []
        assert sandbox.client("iam", account).list_roles()["Roles"] == []
        assert sandbox.client("iam", account).list_policies(Scope="Local")["Policies"] == []
        assert sandbox.client("cloudwatch", account).describe_alarms()["MetricAlarms"] == []
        assert sandbox.client("logs", account).describe_log_groups()["logGroups"] == []
        assert sandbox.client("apigatewayv2", account).get_apis()["Items"] == []
        assert sandbox.client("ssm", account).describe_parameters()["Parameters"] == []
