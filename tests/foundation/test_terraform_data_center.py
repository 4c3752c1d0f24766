"""The foundation for Bitbucket Data Center in two accounts: applied, planned again, edited, taken down."""

import json
from collections.abc import Iterator
from typing import Any

import botocore.exceptions
import pytest

from mlops_workbench.sandbox import Sandbox
from tests.foundation.deployment_access import Case, admitted, of_deployments, of_service_roles
from tests.foundation.deployment_environment import (
    INLINE_POLICIES,
    MANAGED_POLICY,
    Environment,
    make_service_role,
    size_at_most,
)
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
SECRETS = f"arn:aws:secretsmanager:{REGION}:{SHARED}:secret:mlops/bitbucket"
QUEUE = f"arn:aws:sqs:{REGION}:{SHARED}:mlops-bitbucket"
STAGING_HERE, PRODUCTION_THERE = Environment("staging", SHARED), Environment("production", PRODUCTION)
ENVIRONMENTS = (STAGING_HERE, PRODUCTION_THERE)

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


def test_each_environments_parameter_tells_its_deployments_what_there_is(applied: Applied) -> None:
    sandbox, _, _ = applied
    common = {
        "version": 1,
        "region": REGION,
        "shared_services_account_id": SHARED,
        "production_account_id": PRODUCTION,
        "state_key_prefix": "deployment/",
        "log_retention_days": 365,
    }
    for here, alias, topic in (
        (STAGING_HERE, "alias/mlops", "mlops-notifications"),
        (PRODUCTION_THERE, "alias/mlops-production", "mlops-notifications-production"),
    ):
        key = sandbox.client("kms", here.account).describe_key(KeyId=alias)["KeyMetadata"]["Arn"]
        assert parameter(sandbox, f"/mlops/foundation-{here.name}", here.account) == {
            **common,
            "state_bucket": f"mlops-terraform-state-{here.account}-{REGION}",
            "kms_key_arn": key,
            "notifications_topic_arn": here.arn("sns", topic),
            "deployment_role_arn": here.role,
            "service_role_path": here.service_role_path,
            "permissions_boundary_arn": here.boundary,
        }
        sandbox.client("iam", here.account).get_role(RoleName=here.role.rpartition("/")[2])


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


@pytest.mark.parametrize(
    ("here", "case"),
    [(here, case) for here in ENVIRONMENTS for case in of_deployments(here)],
    ids=str,
)
def test_what_a_deployment_may_do(applied: Applied, here: Environment, case: Case) -> None:
    assert may(here.role, case.action, case.resource, case.conditions) is case.allowed


@pytest.mark.parametrize("here", ENVIRONMENTS, ids=lambda here: here.name)
def test_a_deployment_uses_its_key_through_the_services_that_encrypt_for_it(
    applied: Applied, here: Environment
) -> None:
    key = parameter(applied[0], f"/mlops/foundation-{here.name}", here.account)["kms_key_arn"]
    assert may(here.role, "kms:GenerateDataKey", key, {VIA: f"s3.{REGION}.amazonaws.com"})
    assert not may(here.role, "kms:Decrypt", key, {VIA: f"secretsmanager.{REGION}.amazonaws.com"})
    assert not may(here.role, "kms:Decrypt", key)
    assert may(here.role, "kms:CreateGrant", key, {"kms:GrantIsForAWSResource": True})
    assert not may(here.role, "kms:CreateGrant", key)


@pytest.mark.parametrize("here", ENVIRONMENTS, ids=lambda here: here.name)
def test_a_role_made_by_a_deployment_can_do_what_the_boundary_lets_it_whatever_its_policy_says(
    applied: Applied, here: Environment
) -> None:
    iam = applied[0].client("iam", here.account)
    role = make_service_role(iam, here)
    try:
        wrong = [
            case
            for case in of_service_roles(here)
            if may(role, case.action, case.resource, case.conditions) is not case.allowed
        ]
        assert wrong == []
    finally:
        iam.delete_role_policy(RoleName="router-sagemaker", PolicyName="anything")
        iam.delete_role(RoleName="router-sagemaker")


@pytest.mark.parametrize(
    ("here", "caller", "account", "is_admitted"),
    [(here, *row) for here in ENVIRONMENTS for row in admitted(here)],
    ids=str,
)
def test_only_roles_under_the_environments_path_deploy_to_it(
    applied: Applied, here: Environment, caller: str, account: str, is_admitted: bool
) -> None:
    name = here.role.rpartition("/")[2]
    role = applied[0].client("iam", here.account).get_role(RoleName=name)["Role"]
    assert trusts(json.dumps(role["AssumeRolePolicyDocument"]), caller, account) is is_admitted


@pytest.mark.parametrize("here", ENVIRONMENTS, ids=lambda here: here.name)
def test_policies_fit_iams_limits_with_the_longest_prefix(applied: Applied, here: Environment) -> None:
    iam, role = applied[0].client("iam", here.account), here.role.rpartition("/")[2]
    names = iam.list_role_policies(RoleName=role)["PolicyNames"]
    inline = [iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"] for name in names]
    assert len(inline) == 5
    assert size_at_most(inline) <= INLINE_POLICIES
    boundary = iam.get_policy_version(PolicyArn=here.boundary, VersionId="v1")["PolicyVersion"]
    assert size_at_most([boundary["Document"]]) <= MANAGED_POLICY


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
