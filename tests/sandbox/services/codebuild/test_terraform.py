"""Terraform in a build: state and resources in another account, through a role that the build may take on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from mlops_workbench.sandbox import Sandbox
from tests.sandbox.services.codebuild.test_builds import ENVIRONMENT, TRUST
from tests.terraform_environment import cli_environment
from tests.waiting import FOREVER, wait_for

BUILD, OTHER, REGION = "111111111111", "222222222222", "ca-central-1"
DEPLOYMENT = f"arn:aws:iam::{OTHER}:role/deployment"
STATE, KEY = "state-bucket", "deployment/thing/production.tfstate"
CODE = """
terraform {
  required_providers {
    aws = { source = "hashicorp/aws", version = "~> 5.100" }
  }
  backend "s3" {}
}
provider "aws" {
  region = "ca-central-1"
  assume_role {
    role_arn     = "%(role)s"
    session_name = "deployment"
  }
}
variable "wait" {
  type = number
}
resource "aws_ssm_parameter" "this" {
  name  = "/deployed/value"
  type  = "String"
  value = "by a build"
}
resource "terraform_data" "slow" {
  input = aws_ssm_parameter.this.version
  provisioner "local-exec" {
    command = "echo applying; sleep ${var.wait}"
  }
}
"""
_AS_ITSELF = 'import boto3; boto3.client("ssm").get_parameter(Name="/deployed/value")'
BACKEND = f"""
bucket       = "{STATE}"
key          = "{KEY}"
region       = "{REGION}"
use_lockfile = true
assume_role  = {{
  role_arn     = "{DEPLOYMENT}"
  session_name = "deployment"
}}
"""


def _document(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def _allow(actions: list[str], resource: str | list[str]) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": actions, "Resource": resource}


class World:
    """A build project in one account, a deployment role and a state bucket in the other."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox, self.client = sandbox, sandbox.client("codebuild")
        iam = sandbox.client("iam")
        role = iam.create_role(RoleName="build", Path="/deploy/", AssumeRolePolicyDocument=json.dumps(TRUST))[
            "Role"
        ]["Arn"]
        self.let_build("sts:AssumeRole", DEPLOYMENT)
        there = sandbox.client("iam", OTHER)
        trust = {"Effect": "Allow", "Principal": {"AWS": role}, "Action": "sts:AssumeRole"}
        there.create_role(RoleName="deployment", AssumeRolePolicyDocument=_document(trust))
        bucket = f"arn:aws:s3:::{STATE}"
        there.put_role_policy(
            RoleName="deployment",
            PolicyName="inline",
            PolicyDocument=_document(
                _allow(["s3:ListBucket"], bucket),
                _allow(["s3:GetObject", "s3:PutObject"], f"{bucket}/{KEY}"),
                _allow(["s3:GetObject", "s3:PutObject", "s3:DeleteObject"], f"{bucket}/{KEY}.tflock"),
                _allow(["ssm:*"], f"arn:aws:ssm:{REGION}:{OTHER}:parameter/deployed/*"),
                _allow(["ssm:DescribeParameters"], "*"),
            ),
        )
        sandbox.client("s3", OTHER).create_bucket(
            Bucket=STATE, CreateBucketConfiguration={"LocationConstraint": REGION}
        )
        self.client.create_project(
            name="deploy",
            source={"type": "NO_SOURCE", "buildspec": "version: 0.2\n"},
            artifacts={"type": "NO_ARTIFACTS"},
            environment=ENVIRONMENT,
            serviceRole=role,
        )

    def let_build(self, action: str, resource: str) -> None:
        """Let the build's role do this, and write its log, and nothing else."""
        document = _document(_allow([action], resource), _allow(["logs:*"], "*"))
        self.sandbox.client("iam").put_role_policy(
            RoleName="build", PolicyName="inline", PolicyDocument=document
        )

    def start(self, wait: int, *commands: str) -> str:
        """Start a build that applies, with a resource that takes so many seconds."""
        files = {"main.tf": CODE % {"role": DEPLOYMENT}, "backend.hcl": BACKEND}
        written = [f"cat > {name} <<'END'\n{text}\nEND" for name, text in files.items()]
        flags = f"-no-color -input=false -var=wait={wait}"
        spec = {
            "version": 0.2,
            "phases": {
                "build": {
                    "commands": [
                        *written,
                        "terraform init -no-color -input=false -backend-config=backend.hcl",
                        *(commands or (f"terraform apply -auto-approve {flags}",)),
                    ]
                }
            },
        }
        started = self.client.start_build(projectName="deploy", buildspecOverride=json.dumps(spec))
        return str(started["build"]["id"])

    def end(self, id_: str) -> str:
        """Wait for a build's end; returns its status."""

        def over() -> str:
            (build,) = self.client.batch_get_builds(ids=[id_])["builds"]
            return str(build["buildStatus"]) if build["buildComplete"] else ""

        return wait_for(over, lambda: f"{id_} does not end:\n{self.log(id_)}")

    def log(self, id_: str) -> str:
        """What the build has printed, which is nothing before it has begun."""
        path = self.sandbox.folder / "builds" / id_.replace(":", "/") / "log.txt"
        return path.read_text("utf-8") if path.exists() else ""

    def state(self) -> dict[str, Any]:
        """The types of the resources in the state, with what they are."""
        body = self.sandbox.client("s3", OTHER).get_object(Bucket=STATE, Key=KEY)["Body"].read()
        return {one["type"]: one["instances"] for one in json.loads(body)["resources"]}

    def locked(self) -> bool:
        """Whether the lock's file is there."""
        try:
            self.sandbox.client("s3", OTHER).head_object(Bucket=STATE, Key=f"{KEY}.tflock")
        except ClientError:
            return False
        return True


@pytest.fixture
def world(tmp_path: Path, images: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    for name, value in cli_environment().items():
        monkeypatch.setenv(name, value)
    with Sandbox(tmp_path / "s", images, accounts=(BUILD, OTHER), region=REGION, enforce_iam=True) as sandbox:
        yield World(sandbox)


@pytest.mark.slow
def test_a_build_deploys_into_the_other_account_through_its_role_and_by_no_other_way(world: World) -> None:
    flags = "-no-color -input=false -var=wait=0"
    id_ = world.start(
        0,
        f"terraform apply -auto-approve {flags}",
        f"terraform plan -detailed-exitcode {flags}",
        f"! python -c '{_AS_ITSELF}'",
    )
    assert world.end(id_) == "SUCCEEDED", world.log(id_)
    assert "ssm:GetParameter" in world.log(id_)  # as itself the build may not even look
    parameter = world.sandbox.client("ssm", OTHER).get_parameter(Name="/deployed/value")["Parameter"]
    assert parameter["Value"] == "by a build"
    assert sorted(world.state()) == ["aws_ssm_parameter", "terraform_data"] and not world.locked()

    world.let_build("sts:AssumeRole", f"arn:aws:iam::{OTHER}:role/another")
    refused = world.start(0)
    assert world.end(refused) == "FAILED"
    assert "sts:AssumeRole" in world.log(refused)


@pytest.mark.slow
def test_terraform_in_a_build_that_is_stopped_keeps_its_state_and_gives_the_lock_back(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    # on a busy machine Terraform may need longer than a build has to end in
    monkeypatch.setattr("mlops_workbench.sandbox.services.codebuild.build._GRACE", FOREVER)
    id_ = world.start(120)
    wait_for(lambda: "local-exec): applying" in world.log(id_), lambda: world.log(id_))
    assert world.locked()
    world.client.stop_build(id=id_)
    assert world.end(id_) == "STOPPED"
    assert "aws_ssm_parameter" in world.state(), world.log(id_)
    assert not world.locked()
    again = world.start(0)
    assert world.end(again) == "SUCCEEDED", world.log(again)


def test_the_builds_of_a_project_are_listed_with_the_newest_first_and_tell_their_status(
    world: World,
) -> None:
    def run(*commands: str) -> str:
        spec = {"version": 0.2, "phases": {"build": {"commands": list(commands)}}}
        return str(
            world.client.start_build(projectName="deploy", buildspecOverride=json.dumps(spec))["build"]["id"]
        )

    good, bad = run("true"), run("exit 3")
    assert (world.end(good), world.end(bad)) == ("SUCCEEDED", "FAILED"), world.log(good)
    slow = run("sleep 60")
    assert world.client.list_builds_for_project(projectName="deploy")["ids"] == [slow, bad, good]
    oldest = world.client.list_builds_for_project(projectName="deploy", sortOrder="ASCENDING")["ids"]
    assert oldest == [good, bad, slow]
    described = world.client.batch_get_builds(ids=[good, "deploy:unknown", bad, slow])
    assert [(one["id"], one["buildStatus"]) for one in described["builds"]] == [
        (good, "SUCCEEDED"),
        (bad, "FAILED"),
        (slow, "IN_PROGRESS"),
    ]
    assert described["buildsNotFound"] == ["deploy:unknown"]
    with pytest.raises(ClientError) as unknown:
        world.client.list_builds_for_project(projectName="other")
    assert unknown.value.response["Error"]["Code"] == "ResourceNotFoundException"
    world.client.stop_build(id=slow)
    assert world.end(slow) == "STOPPED"
    # A second stop changes nothing.
    assert world.client.stop_build(id=slow)["build"]["buildStatus"] == "STOPPED"
