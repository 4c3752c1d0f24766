"""Which version is deployed, as the builds and the commands find it out: against the sandbox's registry."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from mlops_workbench.sandbox import Sandbox

SHARED, PRODUCTION, REGION = "111111111111", "222222222222", "ca-central-1"
GROUP, SLUG = "email-router", "email-router-endpoint"
BUCKET, MODELS = f"mlops-{SLUG}-{SHARED}-{REGION}", f"mlops-{GROUP}-{SHARED}-{REGION}"
IMAGE = "763104351884.dkr.ecr.ca-central-1.amazonaws.com/huggingface-pytorch-inference:2.6.0"

Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[Sandbox]:
    with Sandbox(tmp_path / "sandbox", accounts=(SHARED, PRODUCTION), region=REGION) as opened:
        for name in (BUCKET, MODELS):
            opened.client("s3").create_bucket(
                Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION}
            )
        yield opened


@pytest.fixture
def command(sandbox: Sandbox, serving: Path, git: Callable[..., str], tmp_path: Path) -> Command:
    """Runs `python -m serverless_inference …` in a copy of the repository."""
    repository = tmp_path / "repository"
    git(tmp_path, "clone", "--quiet", str(serving), str(repository))

    def run(*arguments: str, account: str = SHARED) -> subprocess.CompletedProcess[str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        return subprocess.run(
            [sys.executable, "-m", "serverless_inference", *arguments],
            cwd=repository,
            env={**kept, **sandbox.environment(account)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
        )

    return run


def make_versions(sandbox: Sandbox, *approvals: str) -> list[str]:
    """Versions 1, 2, … with these approval statuses; their archives are there."""
    sagemaker = sandbox.client("sagemaker")
    sagemaker.create_model_package_group(ModelPackageGroupName=GROUP)
    sandbox.client("s3").put_object(Bucket=MODELS, Key="models/a/model.tar.gz", Body=b"weights")
    return [
        sagemaker.create_model_package(
            ModelPackageGroupName=GROUP,
            ModelApprovalStatus=approval,
            InferenceSpecification={
                "Containers": [{"Image": IMAGE, "ModelDataUrl": f"s3://{MODELS}/models/a/model.tar.gz"}],
                "SupportedContentTypes": ["application/json"],
                "SupportedResponseMIMETypes": ["application/json"],
            },
        )["ModelPackageArn"]
        for approval in approvals
    ]


def approvals(sandbox: Sandbox) -> dict[int, str]:
    pages = sandbox.client("sagemaker").get_paginator("list_model_packages")
    found: list[dict[str, Any]] = [
        each
        for page in pages.paginate(ModelPackageGroupName=GROUP)
        for each in page["ModelPackageSummaryList"]
    ]
    return {each["ModelPackageVersion"]: each["ModelApprovalStatus"] for each in found}


def test_the_newest_approved_one_is_found_behind_many_that_wait(sandbox: Sandbox, command: Command) -> None:
    make_versions(sandbox, "Approved", "Approved", "Rejected", *["PendingManualApproval"] * 120)
    done = command("check")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "version 2 is the newest approved one" in done.stdout


def test_an_archive_that_is_gone_is_a_problem_before_anything_is_deployed(
    sandbox: Sandbox, command: Command
) -> None:
    make_versions(sandbox, "Approved")
    sandbox.client("s3").delete_object(Bucket=MODELS, Key="models/a/model.tar.gz")
    done = command("check")
    assert done.returncode == 1
    assert f"expected its archive at s3://{MODELS}/models/a/model.tar.gz, found nothing there" in done.stdout
    done = command("deploy", "staging")
    assert done.returncode == 1 and "Nothing is changed." in done.stderr


def test_a_build_that_fails_still_tells_the_alarm_that_what_is_live_is_not_approved(
    sandbox: Sandbox, command: Command
) -> None:
    rejected, _ = make_versions(sandbox, "Rejected", "Approved")
    s3 = sandbox.client("s3")
    s3.delete_object(Bucket=MODELS, Key="models/a/model.tar.gz")
    model = {"package_arn": rejected, "group": GROUP, "package_version": 1, "data_url": "", "image": IMAGE}
    live = {"environment": "staging", "endpoint_name": f"{SLUG}-staging", "model": model, "settings": {}}
    body = json.dumps({"version": 1, **live, "commit": "", "terraform": ""}).encode()
    s3.put_object(Bucket=BUCKET, Key="deployments/staging/live.json", Body=body)
    assert command("deploy", "staging").returncode == 1
    now = datetime.now(UTC)
    told = sandbox.client("cloudwatch").get_metric_statistics(
        Namespace="MLOps/Deployments",
        MetricName="LiveModelApproved",
        Dimensions=[{"Name": "Project", "Value": SLUG}, {"Name": "Environment", "Value": "staging"}],
        StartTime=now - timedelta(hours=1),
        EndTime=now + timedelta(minutes=1),
        Period=3600,
        Statistics=["Minimum"],
    )
    assert [each["Minimum"] for each in told["Datapoints"]] == [0.0]


def test_with_nothing_approved_the_staging_build_ends_well_and_proposes_nothing(
    sandbox: Sandbox, command: Command, tmp_path: Path
) -> None:
    make_versions(sandbox, "PendingManualApproval", "Rejected")
    done = command("deploy", "staging")
    assert done.returncode == 0, done.stderr
    assert "No version of email-router is approved yet" in done.stdout
    assert (tmp_path / "repository/deployment/PROMOTE").read_text() == "no"


def test_a_group_that_is_not_there_is_named_with_its_key(sandbox: Sandbox, command: Command) -> None:
    done = command("deploy", "staging")
    assert done.returncode == 1
    assert "config/endpoint.yaml: model_package_group: expected a group of this account" in done.stderr
    assert "'email-router', which is not there" in done.stderr and "Traceback" not in done.stderr


def test_rollback_shows_what_it_would_change_and_changes_nothing_unasked(
    sandbox: Sandbox, command: Command
) -> None:
    make_versions(sandbox, "Rejected", "Approved", "Approved")
    done = command("rollback", "--to", "1")
    assert done.returncode == 1
    assert "1. in email-router: approve version 1 (Rejected now)" in done.stdout
    assert "2. in email-router: reject version 2 (Approved now)" in done.stdout
    assert approvals(sandbox) == {1: "Rejected", 2: "Approved", 3: "Approved"}


def test_rollback_makes_the_version_the_newest_approved_one_and_says_why(
    sandbox: Sandbox, command: Command
) -> None:
    arns = make_versions(sandbox, "Rejected", "Approved", "Approved")
    done = command("rollback", "--to", "1", "--reason", "wrong team for gas", "--yes")
    assert done.returncode == 0, done.stderr
    assert approvals(sandbox) == {1: "Approved", 2: "Rejected", 3: "Rejected"}
    newest = sandbox.client("sagemaker").describe_model_package(ModelPackageName=arns[2])
    assert newest["ApprovalDescription"] == "rolled back to version 1: wrong team for gas"
    again = command("rollback", "--to", "1", "--yes")
    assert again.returncode == 0 and "nothing to do" in again.stdout


def test_another_account_s_credentials_are_told_apart(sandbox: Sandbox, command: Command) -> None:
    done = command("status", account=PRODUCTION)
    assert done.returncode == 1
    assert f"expected account {SHARED}" in done.stderr and f"got account {PRODUCTION}" in done.stderr
