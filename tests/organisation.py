"""Two accounts with the foundation, a repository that trains a tiny model for real, and one that deploys it.

What a person would type is run as a command of the generated repositories; everything that it leads to is
the repositories' own buildspecs, Terraform and steps, under the roles that they have made.
"""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pytest
import yaml

from mlops_workbench.sandbox import Sandbox
from mlops_workbench.sandbox.images import Images
from mlops_workbench.sandbox.services import events
from tests.foundation.terraform_roots import PRODUCTION, REGION, SHARED, apply_together, open_roots
from tests.made_once import copy_of
from tests.model_build.conftest import set_model
from tests.terraform_environment import cli_environment

GROUP = "email-router"
MODELS = f"mlops-{GROUP}-{SHARED}-{REGION}"
SECONDS = 420.0  # until something that was begun must have come to rest
OVER = frozenset({"Succeeded", "Failed", "Stopped", "Superseded", "Cancelled"})

QUESTIONS = (
    {"text": "hello we have a question about the invoice", "label": "billing", "minimum_score": 0.4},
    {"text": "please the lift today", "label": "elevators", "minimum_score": 0.4},
    {"text": "our furnace and thank you", "label": "gas", "minimum_score": 0.4},
)


@dataclass
class Organisation:
    """What the tests act on, and how long what took.

    Attributes:
        sandbox: the two accounts.
        trainer: the model-build repository.
        server: the repository that deploys; its slug is the name of its pipeline.
        slug: of that repository.
        configuration: the file of it that a data scientist edits.
        git: runs git in a folder.
        seconds: how long what took.
    """

    sandbox: Sandbox
    trainer: Path
    server: Path
    slug: str
    configuration: str
    git: Callable[..., str]
    seconds: dict[str, float] = field(default_factory=dict)

    def client(self, service: str, account: str = SHARED) -> Any:
        """A client of an account's administrator."""
        return self.sandbox.client(service, account)

    def run(
        self, module: str, *arguments: str, account: str = SHARED, repository: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run `python -m MODULE …` in a repository (the one that deploys) with an account's credentials."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "TF_"))}
        return subprocess.run(
            [sys.executable, "-m", module, *arguments],
            cwd=repository or self.server,
            env={**kept, **cli_environment(), **self.sandbox.environment(account)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=600,
        )

    def register(self, repository: Path) -> None:
        """`make register` without Bitbucket."""
        done = self.run("mlops_workbench", "register", "--yes", "--no-bitbucket", repository=repository)
        assert done.returncode == 0, done.stdout[-6000:] + done.stderr

    def push(self, subject: str, repository: Path | None = None) -> None:
        """Commit everything and publish it."""
        folder = repository or self.server
        self.git(folder, "add", "--all")
        self.git(folder, "commit", "--quiet", "--allow-empty", "--message", subject)
        done = self.run("mlops_workbench", "publish", repository=folder)
        assert done.returncode == 0, done.stdout + done.stderr

    def configure(self, **values: object) -> None:
        """Set keys of the configuration by name, with two underscores between a key and one in it."""
        path = self.server / self.configuration
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
        for name, value in values.items():
            *parents, last = name.split("__")
            place = document
            for parent in parents:
                place = place[parent]
            place[last] = value
        path.write_text(yaml.safe_dump(document), encoding="utf-8")

    def wait_for_version(self, number: int) -> str:
        """The ARN of a version, once training has registered it."""
        sagemaker = self.client("sagemaker")
        for _ in self.patiently(f"version {number}"):
            found = sagemaker.list_model_packages(ModelPackageGroupName=GROUP)["ModelPackageSummaryList"]
            arns = {each["ModelPackageVersion"]: str(each["ModelPackageArn"]) for each in found}
            if number in arns:
                return arns[number]
            for each in sagemaker.list_pipelines(PipelineNamePrefix=GROUP)["PipelineSummaries"]:
                runs = sagemaker.list_pipeline_executions(PipelineName=each["PipelineName"])
                for run in runs["PipelineExecutionSummaries"]:
                    assert run["PipelineExecutionStatus"] != "Failed", run
        raise AssertionError

    def register_variant(self, arn: str, **container: str) -> str:
        """Register a version like another one, but for its container; waits for approval."""
        sagemaker = self.client("sagemaker")
        specification = sagemaker.describe_model_package(ModelPackageName=arn)["InferenceSpecification"]
        specification["Containers"][0] |= container
        specification["Containers"][0].pop("ImageDigest", None)
        made = sagemaker.create_model_package(
            ModelPackageGroupName=GROUP,
            InferenceSpecification=specification,
            ModelApprovalStatus="PendingManualApproval",
        )
        return str(made["ModelPackageArn"])

    def decide(self, arn: str, status: str) -> None:
        """Approve or reject a version, as a person does."""
        self.client("sagemaker").update_model_package(ModelPackageArn=arn, ModelApprovalStatus=status)

    def executions(self) -> list[dict[str, Any]]:
        """The executions of the delivery pipeline, the newest first."""
        listed = self.client("codepipeline").list_pipeline_executions(pipelineName=self.slug)
        found: list[dict[str, Any]] = listed["pipelineExecutionSummaries"]
        return found

    @contextmanager
    def watching(self, what: str) -> Iterator[list[dict[str, Any]]]:
        """What the block starts, once it has ended or waits for a person; the newest first."""
        before = {each["pipelineExecutionId"] for each in self.executions()}
        began = time.monotonic()
        started: list[dict[str, Any]] = []
        yield started
        for _ in self.patiently(what):
            if not events.wait_idle():
                continue
            new = [each for each in self.executions() if each["pipelineExecutionId"] not in before]
            waiting = self.waits_for_approval()
            if new and all(each["status"] in OVER or each["pipelineExecutionId"] == waiting for each in new):
                started.extend(new)
                break
        self.seconds[what] = time.monotonic() - began

    @contextmanager
    def watching_the_same(self, what: str) -> Iterator[None]:
        """The execution that waits, after an answer, until it has ended."""
        execution = self.waits_for_approval()
        assert execution is not None, "nothing waits for an answer"
        began = time.monotonic()
        yield
        for _ in self.patiently(what):
            status = {each["pipelineExecutionId"]: each["status"] for each in self.executions()}
            if status[execution] in OVER and events.wait_idle():
                break
        self.seconds[what] = time.monotonic() - began

    def waits_for_approval(self) -> str | None:
        """The execution that waits for an answer about production."""
        stages = self.client("codepipeline").get_pipeline_state(name=self.slug)["stageStates"]
        production = next(stage for stage in stages if stage["stageName"] == "Production")
        latest = {each["actionName"]: each.get("latestExecution", {}) for each in production["actionStates"]}
        if latest["Approve"].get("status") == "InProgress" and "token" in latest["Approve"]:
            return str(production["latestExecution"]["pipelineExecutionId"])
        return None

    def stages(self, execution: Mapping[str, Any]) -> dict[str, str]:
        """Stage/action -> status, of one execution."""
        listed = self.client("codepipeline").list_action_executions(
            pipelineName=self.slug, filter={"pipelineExecutionId": execution["pipelineExecutionId"]}
        )
        return {
            f"{each['stageName']}/{each['actionName']}": each["status"]
            for each in listed["actionExecutionDetails"]
        }

    def log(self, environment: str) -> str:
        """The newest build's log of an environment."""
        codebuild = self.client("codebuild")
        newest = codebuild.list_builds_for_project(projectName=f"{self.slug}-{environment}")["ids"][0]
        (build,) = codebuild.batch_get_builds(ids=[newest])["builds"]
        stream = build["logs"]
        pages = (
            self.client("logs")
            .get_paginator("filter_log_events")
            .paginate(logGroupName=stream["groupName"], logStreamNames=[stream["streamName"]])
        )
        return "\n".join(event["message"] for page in pages for event in page["events"])

    def record(self, environment: str) -> dict[str, Any] | None:
        """What the builds keep as live."""
        s3 = self.client("s3")
        bucket = f"mlops-{self.slug}-{SHARED}-{REGION}"
        try:
            body = s3.get_object(Bucket=bucket, Key=f"deployments/{environment}/live.json")["Body"].read()
        except s3.exceptions.NoSuchKey:
            return None
        found: dict[str, Any] = json.loads(body)
        return found

    def patiently(self, what: str) -> Iterator[None]:
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline:
            yield
            time.sleep(1.0)  # each look asks the sandbox several things
        raise AssertionError(f"{what}: nothing came of it in {SECONDS:.0f} s")


Kind = TypeVar("Kind", bound=Organisation)


@contextmanager
def opened(
    kind: type[Kind],
    server: Path,
    generate: Callable[..., Path],
    git: Callable[..., str],
    container_python: Path,
    tmp_path_factory: pytest.TempPathFactory,
    **about: str,
) -> Iterator[Kind]:
    """The organisation, where model-build is registered and version 1 waits for approval.

    Args:
        kind: the class to make.
        server: the repository that deploys, which is not registered.
        generate, git: generates the repository that trains; runs git in a folder.
        container_python: stands for SageMaker's images.
        about: slug and configuration of the repository that deploys.
    """
    os.environ["MLOPS_CONTAINER_PYTHON"] = str(container_python)

    def train(folder: Path) -> None:
        _train(generate, container_python, git, folder)

    folder = copy_of("trained", train, tmp_path_factory.mktemp("organisation") / "trained", tmp_path_factory)
    with _two_accounts(folder, server) as sandbox:
        yield kind(sandbox, folder / GROUP, server, git=git, **about)


@contextmanager
def _two_accounts(folder: Path, repository: Path) -> Iterator[Sandbox]:
    """The sandbox of an organisation, with a repository's images; builds find Terraform's plug-ins."""
    images = Images.load(repository / "sandbox.toml")
    accounts = (SHARED, PRODUCTION)
    with (
        Sandbox(folder / "sandbox", images, accounts=accounts, region=REGION, enforce_iam=True) as sandbox,
        plugins(),
    ):
        yield sandbox


def _train(
    generate: Callable[..., Path], container_python: Path, git: Callable[..., str], folder: Path
) -> None:
    """Apply the foundation, register a repository that trains, and wait for its first version."""
    trainer = training_repository(generate, container_python, git, folder)
    with _two_accounts(folder, trainer) as sandbox:
        hosting = {"bitbucket_hosting": "data-center", "bitbucket_url": "https://bitbucket.example.org"}
        apply_together(*open_roots(sandbox, folder, hosting, PRODUCTION))
        made = Organisation(sandbox, trainer, trainer, GROUP, "config/model.yaml", git)
        made.register(trainer)
        made.wait_for_version(1)
        pipeline = made.client("sagemaker").list_pipelines()["PipelineSummaries"][0]["PipelineName"]
        for _ in made.patiently("the end of the first training"):
            runs = made.client("sagemaker").list_pipeline_executions(PipelineName=pipeline)
            states = {each["PipelineExecutionStatus"] for each in runs["PipelineExecutionSummaries"]}
            if states | {each["status"] for each in made.executions()} <= OVER and events.wait_idle():
                break


@contextmanager
def plugins() -> Iterator[None]:
    """Builds take Terraform's settings from this process's environment, as on a person's machine."""
    before = {name: os.environ.get(name) for name in cli_environment()}
    os.environ.update(cli_environment())
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def training_repository(
    generate: Callable[..., Path], container_python: Path, git: Callable[..., str], folder: Path
) -> Path:
    """A model-build repository that learns, in seconds, which word tells the team."""
    repository = generate(folder)
    script = "import sys; sys.path.insert(0, sys.argv[1]); import tiny, json, pathlib as p\n"
    script += "tiny.write_base_model(p.Path(sys.argv[2])); print(json.dumps(tiny.examples(240, 7)))"
    done = subprocess.run(
        [container_python, "-c", script, repository / "tests/steps", repository / "base"],
        capture_output=True,
        text=True,
        check=True,
    )
    with (repository / "data/tiny.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("body", "team"), *json.loads(done.stdout.splitlines()[-1])])
    set_model(
        repository,
        **{
            "data.source": "data/tiny.csv",
            "data.text_columns": ["body"],
            "data.label_column": "team",
            "data.group_column": None,
            "model.base": "base",
            "model.max_length": 32,
            "training.epochs": 12,
            "training.learning_rate": 0.01,
            "acceptance": {"accuracy": {"at_least": 0.9}},
        },
    )
    git(repository, "add", "--all")
    git(repository, "commit", "--quiet", "--message", "A tiny model")
    return repository
