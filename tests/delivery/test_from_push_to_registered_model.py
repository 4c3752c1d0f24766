"""The whole path, all real but AWS and Bitbucket: foundation, register, push, train, a model that waits.

Terraform applies the foundation and terraform/delivery, Bitbucket's webhook goes through the bridge's own
functions, the build is the repository's buildspec, the jobs are the repository's steps, and every role may
do only what its policies say. The tests are one story: each goes on where the one before it ended.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml
from bitbucket_data_center import BitbucketDataCenter, Delivery

from mlops_workbench.sandbox import Sandbox
from mlops_workbench.sandbox.images import Images
from mlops_workbench.sandbox.services import events
from tests.foundation.terraform_roots import (
    NO_CHANGES,
    PRODUCTION,
    REGION,
    SHARED,
    Root,
    apply_together,
    open_roots,
)
from tests.model_build.conftest import set_model
from tests.terraform_environment import cli_environment

pytestmark = pytest.mark.slow

SLUG, KEY = "email-router", "email-router/main.zip"
SOURCE_BUCKET = f"mlops-source-{SHARED}-{REGION}"
BUCKET = f"mlops-{SLUG}-{SHARED}-{REGION}"
SECONDS = 600.0  # until a push is a model package; training the tiny model takes about one minute


@dataclass
class Organisation:
    """Two accounts with the foundation applied, a Bitbucket, and a repository that trains in seconds."""

    sandbox: Sandbox
    bitbucket: BitbucketDataCenter
    roots: tuple[Root, Root]
    repository: Path
    git: Callable[..., str]
    seconds: dict[str, float] = field(default_factory=dict)

    def client(self, service: str) -> Any:
        """A client of an administrator of shared services."""
        return self.sandbox.client(service, SHARED)

    def delivery(self, *arguments: str, token: bool = True) -> subprocess.CompletedProcess[str]:
        """Run `python -m mlops_workbench …` in the repository, as a person of the shared services account."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "TF_"))}
        signed_in = {
            "BITBUCKET_TOKEN": self.bitbucket.token,
            "BITBUCKET_CA_FILE": str(self.bitbucket.ca_file),
        }
        return subprocess.run(
            [sys.executable, "-m", "mlops_workbench", *arguments],
            cwd=self.repository,
            env={
                **kept,
                **cli_environment(),
                **self.sandbox.environment(SHARED),
                **(signed_in if token else {}),
            },
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=600,
        )

    def commit(self, subject: str) -> str:
        """Commit everything; returns the commit's id."""
        self.git(self.repository, "add", "--all")
        self.git(self.repository, "commit", "--quiet", "--message", subject)
        return self.git(self.repository, "rev-parse", "HEAD")

    def packages(self) -> list[dict[str, Any]]:
        """The versions of the model, the oldest first."""
        found = self.client("sagemaker").list_model_packages(ModelPackageGroupName=SLUG)
        summaries: list[dict[str, Any]] = found["ModelPackageSummaryList"]
        return sorted(summaries, key=lambda package: int(package["ModelPackageVersion"]))

    def wait_for_package(self, version: int) -> dict[str, Any]:
        """The description of a version, or the reason why there is none."""
        codepipeline, sagemaker = self.client("codepipeline"), self.client("sagemaker")
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline:
            found = self.packages()
            if len(found) >= version:
                arn = found[version - 1]["ModelPackageArn"]
                described: dict[str, Any] = sagemaker.describe_model_package(ModelPackageName=arn)
                return described
            for run in self.pipeline_executions():
                state = codepipeline.get_pipeline_state(name=SLUG)["stageStates"]
                assert run["status"] != "Failed", state
            if SLUG in [each["PipelineName"] for each in sagemaker.list_pipelines()["PipelineSummaries"]]:
                listed = sagemaker.list_pipeline_executions(PipelineName=SLUG)
                for execution in listed["PipelineExecutionSummaries"]:
                    assert execution["PipelineExecutionStatus"] not in ("Failed", "Stopped"), execution
            time.sleep(1.0)
        raise AssertionError(f"no version {version} after {SECONDS:.0f} s")

    def pipeline_executions(self) -> list[dict[str, Any]]:
        """The executions of the CodePipeline, the newest first."""
        listed = self.client("codepipeline").list_pipeline_executions(pipelineName=SLUG)
        found: list[dict[str, Any]] = listed["pipelineExecutionSummaries"]
        return found

    def settle(self) -> None:
        """Wait until the bridge's queue is empty and no event is on its way."""
        sqs = self.client("sqs")
        url = sqs.get_queue_url(QueueName="mlops-bitbucket")["QueueUrl"]
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            counts = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
            waiting = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible")
            if not any(int(counts[name]) for name in waiting) and events.wait_idle():
                return
            time.sleep(0.2)
        raise AssertionError("the bridge's queue is not empty after a minute")

    def done_so_far(self) -> tuple[list[str], list[str]]:
        """What a webhook can lead to: versions of sources, and executions."""
        listed = self.client("s3").list_object_versions(Bucket=SOURCE_BUCKET)
        versions = [f"{one['Key']} {one['VersionId']}" for one in listed.get("Versions", [])]
        return sorted(versions), [each["pipelineExecutionId"] for each in self.pipeline_executions()]

    def post(self, sent: Delivery, body: bytes, headers: Mapping[str, str]) -> int:
        """Send a request to the webhook's address, as anybody on the internet can; returns the status."""
        address = urlsplit(sent.url)
        request = urllib.request.Request(
            self.sandbox.endpoint_url + address.path,
            data=body,
            headers={"Host": address.netloc, **headers},
            method="POST",
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return int(error.code)


@pytest.fixture(scope="module")
def organisation(
    generate: Callable[..., Path],
    container_python: Path,
    tiny_model: Path,
    git: Callable[..., str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Organisation]:
    """The organisation before its first repository is registered; prints at the end what took how long."""
    folder = tmp_path_factory.mktemp("organisation")
    os.environ["MLOPS_CONTAINER_PYTHON"] = str(container_python)
    with BitbucketDataCenter(folder / "bitbucket") as bitbucket:
        bitbucket.create_project("ML")
        repository = make_repository(generate, tiny_model, git, folder, bitbucket.url)
        images = Images.load(repository / "sandbox.toml")
        with Sandbox(
            folder / "sandbox", images, accounts=(SHARED, PRODUCTION), region=REGION, enforce_iam=True
        ) as sandbox:
            began = time.monotonic()
            hosting = {"bitbucket_hosting": "data-center", "bitbucket_url": bitbucket.url}
            roots = open_roots(sandbox, folder, hosting, PRODUCTION)
            apply_together(*roots)
            let_bitbucket_in(sandbox, bitbucket)
            made = Organisation(sandbox, bitbucket, roots, repository, git)
            made.seconds["foundation applied"] = time.monotonic() - began
            yield made
            print("\n".join(f"{what}: {seconds:.1f} s" for what, seconds in made.seconds.items()))


def make_repository(
    generate: Callable[..., Path], tiny_model: Path, git: Callable[..., str], folder: Path, url: str
) -> Path:
    """A generated repository whose base model, a tiny one, is a folder in it."""
    repository = generate(folder, bitbucket_url=url)
    shutil.copytree(tiny_model, repository / "base")
    set_model(
        repository,
        **{
            "model.base": "base",
            "model.max_length": 32,
            "training.epochs": 1,
            "acceptance": {"accuracy": {"at_least": 0.0}, "expected_calibration_error": {"at_most": 1.0}},
        },
    )
    git(repository, "add", "--all")
    git(repository, "commit", "--quiet", "--message", "A tiny base model")
    return repository


def let_bitbucket_in(sandbox: Sandbox, bitbucket: BitbucketDataCenter) -> None:
    """What the foundation's README has a platform engineer do: put a token that may read into the secret."""
    token = {"token": bitbucket.add_token("READ"), "ca_pem": bitbucket.ca_pem}
    sandbox.client("secretsmanager", SHARED).put_secret_value(
        SecretId="mlops/bitbucket/token", SecretString=json.dumps(token)
    )
    parameter = sandbox.client("ssm", SHARED).get_parameter(Name="/mlops/foundation")["Parameter"]["Value"]
    # On AWS the name of the API leads to it; here it leads nowhere.
    host = urlsplit(json.loads(parameter)["webhook_url"]).netloc
    bitbucket.resolve(host, sandbox.endpoint_url)


def test_the_applied_foundation_plans_no_change(organisation: Organisation) -> None:
    assert [root.plan() for root in organisation.roots] == [NO_CHANGES, NO_CHANGES]


def test_registering_leads_from_a_signed_webhook_to_a_model_that_waits_for_approval(
    organisation: Organisation,
) -> None:
    began = time.monotonic()
    done = organisation.delivery("register", "--yes")
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-3000:]
    applied = time.monotonic()
    organisation.seconds["registered: first commit pushed, terraform/delivery applied"] = applied - began
    (sent,) = organisation.bitbucket.settle()
    assert (sent.status, json.loads(sent.answer)["queued"]) == (200, ["main"])
    package = organisation.wait_for_package(1)
    organisation.seconds["and from there to version 1 registered"] = time.monotonic() - applied
    assert package["ModelApprovalStatus"] == "PendingManualApproval"
    head = organisation.git(organisation.repository, "rev-parse", "HEAD")
    assert package["MetadataProperties"]["CommitId"] == head
    source = organisation.client("s3").head_object(Bucket=SOURCE_BUCKET, Key=KEY)
    assert source["Metadata"]["commit"] == head


def test_registering_again_changes_nothing(organisation: Organisation) -> None:
    before = organisation.done_so_far()
    done = organisation.delivery("register", "--yes")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "nothing to change" in done.stdout
    organisation.settle()
    assert organisation.done_so_far() == before


@pytest.mark.parametrize(
    ("how", "status"),
    [("unsigned", 401), ("altered", 401), ("signed with another secret", 401), ("sent again", 200)],
)
def test_a_webhook_that_is_not_new_and_not_bitbucket_s_leads_to_nothing(
    organisation: Organisation, how: str, status: int
) -> None:
    sent = organisation.bitbucket.deliveries[-1]
    before = organisation.done_so_far()
    body, headers = sent.body, dict(sent.headers)
    if how == "unsigned":
        del headers["X-Hub-Signature"]
    elif how == "altered":
        body = body.replace(b'"refs/heads/main"', b'"refs/heads/else"')
        assert body != sent.body
    elif how == "signed with another secret":
        headers["X-Hub-Signature"] = "sha256=" + "0" * 64
    assert organisation.post(sent, body, headers) == status
    organisation.settle()
    assert organisation.done_so_far() == before


def test_another_branch_is_kept_and_starts_nothing(organisation: Organisation) -> None:
    executions = organisation.done_so_far()[1]
    environment = {**os.environ, **organisation.bitbucket.git_environment()}
    subprocess.run(
        ["git", "push", "--quiet", "origin", "main:feature/x"],
        cwd=organisation.repository,
        env=environment,
        check=True,
    )
    organisation.bitbucket.settle()
    organisation.settle()
    assert organisation.client("s3").head_object(Bucket=SOURCE_BUCKET, Key=f"{SLUG}/feature/x.zip")
    assert organisation.done_so_far()[1] == executions


def test_publish_leads_to_another_version(organisation: Organisation) -> None:
    path = organisation.repository / "config/project.yaml"
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    path.write_text(yaml.safe_dump({**document, "tags": {"cost-centre": "42"}}), encoding="utf-8")
    set_model(organisation.repository, schedule="rate(7 days)")
    commit = organisation.commit("A cost centre and a schedule")
    began = time.monotonic()
    done = organisation.delivery("publish", token=False)
    assert done.returncode == 0, done.stdout + done.stderr
    package = organisation.wait_for_package(2)
    organisation.seconds["published to version 2 registered (training from the cache)"] = (
        time.monotonic() - began
    )
    assert package["ModelApprovalStatus"] == "PendingManualApproval"
    assert package["MetadataProperties"]["CommitId"] == commit


def test_an_edited_configuration_is_applied_by_registering_again(organisation: Organisation) -> None:
    done = organisation.delivery("register", "--yes", "--no-bitbucket", token=False)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr
    rule = organisation.client("events").describe_rule(Name=f"{SLUG}-schedule")
    assert rule["ScheduleExpression"] == "rate(7 days)"
    tags = organisation.client("s3").get_bucket_tagging(Bucket=BUCKET)["TagSet"]
    assert {"Key": "cost-centre", "Value": "42"} in tags
    again = organisation.delivery("register", "--yes", "--no-bitbucket", token=False)
    assert "nothing to change" in again.stdout and "publish commit" not in again.stdout


def test_people_are_told_of_each_version_that_waits(organisation: Organisation) -> None:
    topic = f"arn:aws:sns:{REGION}:{SHARED}:mlops-notifications"
    rule = f"{SLUG}-approval-wanted"
    told = [entry for entry in events.history() if entry.rule.endswith(rule)]
    assert {(entry.target, entry.outcome) for entry in told} == {(topic, "delivered")}


def test_taking_it_down_refuses_while_there_are_models_and_leaves_nothing_when_told(
    organisation: Organisation,
) -> None:
    refused = organisation.delivery("unregister", "--yes")
    assert refused.returncode == 1
    assert "2 model package(s)" in refused.stderr and "--delete-data" in refused.stderr
    began = time.monotonic()
    done = organisation.delivery("unregister", "--yes", "--delete-models", "--delete-data")
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr
    organisation.seconds["unregistered"] = time.monotonic() - began
    assert organisation.client("codepipeline").list_pipelines()["pipelines"] == []
    assert organisation.client("codebuild").list_projects()["projects"] == []
    assert organisation.client("sagemaker").list_model_package_groups()["ModelPackageGroupSummaryList"] == []
    buckets = [bucket["Name"] for bucket in organisation.client("s3").list_buckets()["Buckets"]]
    assert BUCKET not in buckets and SOURCE_BUCKET in buckets
    roles = [role["RoleName"] for role in organisation.client("iam").list_roles()["Roles"]]
    assert [name for name in roles if name.startswith(SLUG)] == []
    assert organisation.bitbucket.repository("ML", SLUG).webhooks == {}
