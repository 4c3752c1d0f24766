"""The foundation for Bitbucket Cloud, for one account, and what it says to wrong answers."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from mlops_sandbox import Sandbox
from mlops_sandbox.access import AccessDenied
from mlops_sandbox.access.trust import check_web_identity

from tests.foundation.terraform_roots import (
    CLOUD,
    DATA_CENTER,
    NO_CHANGES,
    PRODUCTION,
    REGION,
    REPOSITORY,
    SHARED,
    WORKSPACE,
    Root,
    copy_foundation,
    may,
    open_roots,
)
from tests.terraform_environment import cli_environment

pytestmark = pytest.mark.slow

ISSUER = "api.bitbucket.org/2.0/workspaces/acme/pipelines-config/identity/oidc"
PROVIDER = f"arn:aws:iam::{SHARED}:oidc-provider/{ISSUER}"
PUBLISHER = f"arn:aws:iam::{SHARED}:role/mlops-publisher"
SOURCE = f"arn:aws:s3:::mlops-source-{SHARED}-{REGION}"
STEP = "{0c0c0c0c-1111-2222-3333-444444444444}"
AUDIENCE = f"ari:cloud:bitbucket::workspace/{WORKSPACE}"


def admits(subject: str, audience: str = AUDIENCE) -> bool:
    claims = {f"{ISSUER}:sub": subject, f"{ISSUER}:aud": audience}
    try:
        check_web_identity(PUBLISHER, PROVIDER, claims)
    except AccessDenied:
        return False
    return True


def test_for_cloud_the_named_repositories_publish_and_there_is_no_bridge(tmp_path: Path) -> None:
    with Sandbox(tmp_path / "sandbox", accounts=(SHARED, PRODUCTION), region=REGION) as sandbox:
        shared, _ = open_roots(sandbox, tmp_path, CLOUD, PRODUCTION)
        shared.apply()
        assert shared.plan() == NO_CHANGES

        value = sandbox.client("ssm").get_parameter(Name="/mlops/foundation")["Parameter"]["Value"]
        foundation = json.loads(value)
        assert foundation["publisher_role_arn"] == PUBLISHER
        assert (foundation["webhook_url"], foundation["permissions_boundary_arn"]) == (None, None)
        assert sandbox.client("lambda").list_functions()["Functions"] == []
        assert sandbox.client("apigatewayv2").get_apis()["Items"] == []
        assert "QueueUrls" not in sandbox.client("sqs").list_queues()
        assert sandbox.client("secretsmanager").list_secrets()["SecretList"] == []

        another = "{0d0d0d0d-1111-2222-3333-444444444444}"
        assert admits(f"{{{REPOSITORY}}}:{STEP}")
        assert admits(f"{{{REPOSITORY}}}:{another}:{STEP}")
        assert not admits(f"{another}:{STEP}")
        assert not admits(f"{another}:{{{REPOSITORY}}}:{STEP}")
        assert not admits(f"{{{REPOSITORY}}}:{STEP}", audience=f"ari:cloud:bitbucket::workspace/{another}")

        key = foundation["kms_key_arn"]
        through_s3: dict[str, str | bool] = {
            "kms:ViaService": f"s3.{REGION}.amazonaws.com",
            "kms:EncryptionContext:aws:s3:arn": SOURCE,
        }
        assert may(PUBLISHER, "s3:PutObject", f"{SOURCE}/router/main.zip")
        assert may(PUBLISHER, "kms:GenerateDataKey", key, through_s3)
        assert not may(PUBLISHER, "kms:GenerateDataKey", key)
        assert not may(PUBLISHER, "s3:GetObject", f"{SOURCE}/router/main.zip")
        assert not may(PUBLISHER, "s3:DeleteObject", f"{SOURCE}/router/main.zip")
        assert not may(
            PUBLISHER, "s3:PutObject", f"arn:aws:s3:::mlops-terraform-state-{SHARED}-{REGION}/delivery/x"
        )

        shared.take_down()
        assert sandbox.client("iam").list_open_id_connect_providers()["OpenIDConnectProviderList"] == []
        assert sandbox.client("iam").list_roles()["Roles"] == []


def test_one_account_takes_both_roots(tmp_path: Path) -> None:
    with Sandbox(tmp_path / "sandbox", accounts=(SHARED,), region=REGION) as sandbox:
        shared, production = open_roots(sandbox, tmp_path, CLOUD, SHARED)
        shared.apply()
        production.apply()
        production.move_state(into_bucket=True)
        assert shared.plan() == NO_CHANGES
        assert production.plan() == NO_CHANGES

        # One state bucket, not a second one with the same name.
        names = {bucket["Name"] for bucket in sandbox.client("s3").list_buckets()["Buckets"]}
        assert names == {f"mlops-terraform-state-{SHARED}-{REGION}", f"mlops-source-{SHARED}-{REGION}"}
        aliases = {alias["AliasName"] for alias in sandbox.client("kms").list_aliases()["Aliases"]}
        assert {"alias/mlops", "alias/mlops-production"} <= aliases

        role = sandbox.client("iam").get_role(RoleName="mlops-deployment")["Role"]
        principals = [s["Principal"]["AWS"] for s in role["AssumeRolePolicyDocument"]["Statement"]]
        assert principals == [f"arn:aws:iam::{SHARED}:root"]

        # What deployments may not touch although it is in their account.
        deployment = role["Arn"]
        state = f"arn:aws:s3:::mlops-terraform-state-{SHARED}-{REGION}"
        function = f"arn:aws:lambda:{REGION}:{SHARED}:function"
        assert may(deployment, "s3:PutObject", f"{state}/deployment/router.tfstate")
        assert not may(deployment, "s3:GetObject", f"{state}/delivery/router.tfstate")
        assert not may(deployment, "s3:PutObject", f"{SOURCE}/router/main.zip")
        assert may(deployment, "lambda:UpdateFunctionCode", f"{function}:router")
        assert not may(deployment, "lambda:UpdateFunctionCode", f"{function}:mlops-bitbucket-fetch")

        production.move_state(into_bucket=False)
        production.take_down()
        shared.take_down()


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        ({"prefix": "Much-Too-Long-A-Prefix"}, "2 to 16 lower-case letters"),
        ({"production_account_id": "12345"}, "An account id has 12 digits"),
        ({"log_retention_days": 31}, "CloudWatch takes 1, 3, 5"),
        ({"bitbucket_hosting": "server"}, "Expected data-center or cloud"),
        ({"bitbucket_url": "http://bitbucket.example.org"}, "begins with https://"),
        ({"bitbucket_url": None}, "begins with https://"),
        ({"reserved_concurrency": {"webhook": 5, "fetch": 1}}, "reserve 2 or more"),
        (
            {"permissions_boundary_arn": "arn:aws:iam::1:policy/x", "create_permissions_boundary": True},
            "not both",
        ),
        ({**CLOUD, "bitbucket_repository_uuids": []}, "at least one repository"),
        ({**CLOUD, "bitbucket_workspace": {"name": "acme", "uuid": f"{{{WORKSPACE}}}"}}, "without braces"),
    ],
)
def test_a_wrong_answer_is_refused_before_anything_is_made(
    initialised: Root, wrong: dict[str, Any], complaint: str
) -> None:
    right = {
        "region": REGION,
        "shared_services_account_id": SHARED,
        "production_account_id": PRODUCTION,
        **DATA_CENTER,
    }
    (initialised.folder / "terraform.tfvars.json").write_text(json.dumps({**right, **wrong}))
    assert complaint in initialised.refusal("plan", "-no-color")


@pytest.fixture(scope="module")
def initialised(tmp_path_factory: pytest.TempPathFactory) -> Root:
    """The root of shared services with no AWS behind it: a request would fail, loudly and at once."""
    copy = copy_foundation(tmp_path_factory.mktemp("inputs"))
    own = {key: value for key, value in os.environ.items() if not key.startswith(("AWS_", "TF_VAR_"))}
    nowhere = {
        "AWS_ENDPOINT_URL": "http://127.0.0.1:1",
        "AWS_ACCESS_KEY_ID": "none",
        "AWS_SECRET_ACCESS_KEY": "none",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_MAX_ATTEMPTS": "1",
    }
    root = Root(copy / "shared-services", {**own, **cli_environment(), **nowhere})
    root.terraform("init", "-no-color")
    return root
