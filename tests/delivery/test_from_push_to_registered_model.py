"""The whole path, all real but AWS: foundation, register, push, train, a model that waits for approval.

The Terraform is applied by Terraform, the build is the repository's buildspec, the jobs are the repository's
steps, and every role may do only what its policies say.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from mlops_sandbox import Sandbox
from mlops_sandbox.jobs import Images

from tests.model_build.conftest import set_model
from tests.terraform_environment import cli_environment, terraform

pytestmark = pytest.mark.slow

SHARED, PRODUCTION = "111111111111", "222222222222"
SLUG = "email-router"
DELIVERY_TIMEOUT = 600.0  # seconds; training the tiny model takes about one minute

Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def sandbox(
    generated: Path, container_python: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Sandbox]:
    """Two accounts, in which roles may do only what their policies allow."""
    os.environ["MLOPS_CONTAINER_PYTHON"] = str(container_python)
    images = Images.load(generated / "sandbox.toml")
    folder = tmp_path_factory.mktemp("organisation")
    with Sandbox(folder, images=images, accounts=(SHARED, PRODUCTION), enforce_iam=True) as opened:
        yield opened


@pytest.fixture(scope="module")
def foundation(
    sandbox: Sandbox, collection: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    """The foundation, applied to both accounts; the folder of each root."""
    copy = tmp_path_factory.mktemp("foundation") / "foundation"
    shutil.copytree(collection / "shared/foundation", copy, ignore=shutil.ignore_patterns(".terraform*"))
    subprocess.run([sys.executable, "package.py"], cwd=copy, check=True, capture_output=True)
    values = {
        "region": sandbox.region,
        "shared_services_account_id": SHARED,
        "production_account_id": PRODUCTION,
        "bitbucket_hosting": "data-center",
        "bitbucket_url": "https://bitbucket.example.org",
    }
    for root, account in (("production", PRODUCTION), ("shared-services", SHARED)):
        declared = (copy / root / "variables.tf").read_text(encoding="utf-8")
        lines = [f'{name} = "{value}"\n' for name, value in values.items() if f'"{name}"' in declared]
        (copy / root / "terraform.tfvars").write_text("".join(lines), encoding="utf-8")
        environment = {**cli_environment(), **sandbox.environment(account)}
        terraform(copy / root, environment, "init")
        terraform(copy / root, environment, "apply", "-auto-approve")
    return {"production": copy / "production", "shared-services": copy / "shared-services"}


@pytest.fixture(scope="module")
def repository(
    generate: Callable[..., Path],
    tiny_model: Path,
    tmp_path_factory: pytest.TempPathFactory,
    git: Callable[..., str],
) -> Path:
    """A generated repository that trains in seconds: its base model, a tiny one, is a folder in it."""
    folder = generate(tmp_path_factory.mktemp("repository"))
    shutil.copytree(tiny_model, folder / "base")
    set_model(
        folder,
        **{
            "model.base": "base",
            "model.max_length": 32,
            "training.epochs": 1,
            "acceptance": {"accuracy": {"at_least": 0.0}, "expected_calibration_error": {"at_most": 1.0}},
        },
    )
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "A tiny base model")
    return folder


@pytest.fixture(scope="module")
def delivery(sandbox: Sandbox, repository: Path) -> Command:
    """Runs `python -m delivery …` in the repository as a person of the shared services account."""

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "TF_"))}
        return subprocess.run(
            [sys.executable, "-m", "delivery", *arguments],
            cwd=repository,
            env={**kept, **cli_environment(), **sandbox.environment(SHARED)},
            capture_output=True,
            text=True,
            timeout=600,
        )

    return run


@pytest.fixture(scope="module")
def registered(foundation: dict[str, Path], delivery: Command) -> str:
    """What the first `register` printed."""
    done = delivery("register", "--yes", "--no-bitbucket")
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-3000:]
    return done.stdout


def packages(sandbox: Sandbox) -> list[dict[str, Any]]:
    """The versions of the model, the oldest first."""
    client = sandbox.client("sagemaker", SHARED)
    found: list[dict[str, Any]] = client.list_model_packages(ModelPackageGroupName=SLUG)[
        "ModelPackageSummaryList"
    ]
    return sorted(found, key=lambda package: int(package["ModelPackageVersion"]))


def wait_for_package(sandbox: Sandbox, version: int) -> dict[str, Any]:
    """The package of this version, or the reason why there is none."""
    codepipeline, sagemaker = sandbox.client("codepipeline", SHARED), sandbox.client("sagemaker", SHARED)
    deadline = time.monotonic() + DELIVERY_TIMEOUT
    while time.monotonic() < deadline:
        found = packages(sandbox)
        if len(found) >= version:
            return found[version - 1]
        for run in codepipeline.list_pipeline_executions(pipelineName=SLUG)["pipelineExecutionSummaries"]:
            assert run["status"] != "Failed", codepipeline.get_pipeline_state(name=SLUG)["stageStates"]
        if pipelines := sagemaker.list_pipelines()["PipelineSummaries"]:
            name = pipelines[0]["PipelineName"]
            for execution in sagemaker.list_pipeline_executions(PipelineName=name)[
                "PipelineExecutionSummaries"
            ]:
                assert execution["PipelineExecutionStatus"] not in ("Failed", "Stopped"), execution
        time.sleep(0.5)
    raise AssertionError(f"no version {version} after {DELIVERY_TIMEOUT:.0f} s")


@pytest.mark.parametrize("root", ["production", "shared-services"])
def test_the_applied_foundation_plans_no_change(
    sandbox: Sandbox, foundation: dict[str, Path], root: str
) -> None:
    account = PRODUCTION if root == "production" else SHARED
    environment = {**cli_environment(), **sandbox.environment(account)}
    terraform(foundation[root], environment, "plan", "-detailed-exitcode")


def test_registering_twice_changes_nothing_the_second_time(registered: str, delivery: Command) -> None:
    done = delivery("register", "--yes", "--no-bitbucket")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "No changes" in done.stdout


def test_publish_leads_to_a_model_package_that_waits_for_approval(
    sandbox: Sandbox, registered: str, delivery: Command, repository: Path, git: Callable[..., str]
) -> None:
    done = delivery("publish")
    assert done.returncode == 0, done.stdout + done.stderr
    package = wait_for_package(sandbox, 1)
    assert package["ModelApprovalStatus"] == "PendingManualApproval"
    described = sandbox.client("sagemaker", SHARED).describe_model_package(
        ModelPackageName=package["ModelPackageArn"]
    )
    assert described["MetadataProperties"]["CommitId"] == git(repository, "rev-parse", "HEAD").strip()
