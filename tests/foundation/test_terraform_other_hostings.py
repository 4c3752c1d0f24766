"""The foundation for Bitbucket Cloud, and for one account."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from mlops_workbench.sandbox import Sandbox
from mlops_workbench.sandbox.errors import AccessDenied
from mlops_workbench.sandbox.iam.policies import check_web_identity
from tests.foundation.bitbucket_pipelines import run_step, unsigned_token
from tests.foundation.deployment_access import admitted, of_deployments, of_service_roles
from tests.foundation.deployment_environment import Environment, make_service_role
from tests.foundation.terraform_roots import (
    CLOUD,
    NO_CHANGES,
    PRODUCTION,
    REGION,
    REPOSITORY,
    SHARED,
    WORKSPACE,
    may,
    open_roots,
    trusts,
)

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


def test_for_cloud_the_named_repositories_publish_and_there_is_no_bridge(
    tmp_path: Path, generate: Callable[..., Path], git: Callable[..., str]
) -> None:
    with Sandbox(
        tmp_path / "sandbox", accounts=(SHARED, PRODUCTION), region=REGION, enforce_iam=True
    ) as sandbox:
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

        # The step of a push to main, as the generated repository has it.
        repository = generate(tmp_path, bitbucket_hosting="cloud", bitbucket_url="https://bitbucket.org/acme")
        clone = tmp_path / "clone"
        git(tmp_path, "clone", "--quiet", "--depth", "1", f"file://{repository}", str(clone))
        git(clone, "checkout", "--quiet", "--detach")
        claims = {"iss": f"https://{ISSUER}", "aud": AUDIENCE}
        for subject, accepted in ((f"{another}:{STEP}", False), (f"{{{REPOSITORY}}}:{STEP}", True)):
            token = unsigned_token(**claims, sub=subject)
            done = run_step(clone, token, sandbox.endpoint_url, MLOPS_PUBLISHER_ROLE_ARN=PUBLISHER)
            assert (done.returncode == 0) is accepted, done.stdout + done.stderr
        source = SOURCE.rpartition(":")[2]
        stored = sandbox.client("s3").head_object(Bucket=source, Key="email-router/main.zip")
        assert stored["Metadata"]["commit"] == git(repository, "rev-parse", "HEAD")
        assert stored["SSEKMSKeyId"] == key

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

        for here in (Environment("staging", SHARED), Environment("production", SHARED)):
            iam, name = sandbox.client("iam"), here.role.rpartition("/")[2]
            trust = iam.get_role(RoleName=name)["Role"]["AssumeRolePolicyDocument"]
            principals = [statement["Principal"]["AWS"] for statement in trust["Statement"]]
            assert principals == [f"arn:aws:iam::{SHARED}:root"]
            for caller, account, is_admitted in admitted(here):
                assert trusts(json.dumps(trust), caller, account) is is_admitted, caller
            for case in of_deployments(here):
                assert may(here.role, case.action, case.resource, case.conditions) is case.allowed, case
            service_role = make_service_role(iam, here, name=f"router-{here.name}")
            for case in of_service_roles(here):
                assert may(service_role, case.action, case.resource, case.conditions) is case.allowed, case
            iam.delete_role_policy(RoleName=f"router-{here.name}", PolicyName="anything")
            iam.delete_role(RoleName=f"router-{here.name}")

        production.move_state(into_bucket=False)
        production.take_down()
        shared.take_down()
        assert sandbox.client("iam").list_roles()["Roles"] == []
        assert sandbox.client("iam").list_policies(Scope="Local")["Policies"] == []
