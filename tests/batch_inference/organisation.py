"""The organisation whose second repository answers files."""

from __future__ import annotations

import csv
import io
import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from mlops_workbench.sandbox.services import events
from tests import organisation
from tests.foundation.terraform_roots import PRODUCTION, REGION, SHARED
from tests.organisation import QUESTIONS

SLUG = "survey-batch"
PLACES = {"staging": SHARED, "production": PRODUCTION}


class Answered(NamedTuple):
    """What a file's execution left.

    Attributes:
        status: of the execution.
        reason: why it failed, or "".
        rows: of the answers, by column; empty if there are none.
        summary: None if there is none.
        execution: its id.
        parameters: it was started with.
    """

    status: str
    reason: str
    rows: list[dict[str, str]]
    summary: dict[str, Any] | None
    execution: str
    parameters: dict[str, str]


class Organisation(organisation.Organisation):
    """What the tests act on."""

    def bucket(self, environment: str) -> str:
        """The bucket with an environment's files."""
        return f"mlops-{SLUG}-{environment}-{PLACES[environment]}-{REGION}"

    def put(self, environment: str, name: str, content: bytes) -> str:
        """Put a file below input/, as anybody with rights there would; its version."""
        s3 = self.client("s3", PLACES[environment])
        put = s3.put_object(Bucket=self.bucket(environment), Key=f"input/{name}", Body=content)
        return str(put["VersionId"])

    def drop(self, environment: str, name: str, content: bytes) -> Answered:
        """Put a file and wait for the end of what it starts."""
        return self.ended(environment, [(name, self.put(environment, name, content))])[0]

    def ended(self, environment: str, puts: Sequence[tuple[str, str]]) -> list[Answered]:
        """What became of uploads (name, version), once all of them have ended."""
        wanted = {(f"input/{name}", version) for name, version in puts}
        began = time.monotonic()
        for _ in self.patiently(f"the executions of {[name for name, _ in puts]}"):
            found = {key: run for key, run in self.runs(environment).items() if key in wanted}
            if len(found) == len(wanted) and all(
                run["status"] in organisation.OVER for run in found.values()
            ):
                break
        names = ", ".join(sorted(name for name, _ in puts))[:60]
        self.seconds[f"{environment}: {names}"] = time.monotonic() - began
        return [self._answered(environment, name, found[f"input/{name}", version]) for name, version in puts]

    def runs(self, environment: str) -> dict[tuple[str, str], dict[str, Any]]:
        """(key, version) -> the execution that was started for it."""
        sagemaker = self.client("sagemaker", PLACES[environment])
        pages = sagemaker.get_paginator("list_pipeline_executions").paginate(
            PipelineName=f"{SLUG}-{environment}"
        )
        found = {}
        for page in pages:
            for each in page["PipelineExecutionSummaries"]:
                arn = each["PipelineExecutionArn"]
                given = sagemaker.list_pipeline_parameters_for_execution(PipelineExecutionArn=arn)
                parameters = {one["Name"]: one["Value"] for one in given["PipelineParameters"]}
                run = {"arn": arn, "status": each["PipelineExecutionStatus"], "parameters": parameters}
                found[parameters["Key"], parameters["Version"]] = run
        return found

    def result(self, environment: str, name: str) -> list[dict[str, str]]:
        """The rows below output/, by column."""
        s3 = self.client("s3", PLACES[environment])
        body = s3.get_object(Bucket=self.bucket(environment), Key=f"output/{name}")["Body"].read()
        return list(csv.DictReader(io.StringIO(body.decode("utf-8"), newline="")))

    def outputs(self, environment: str) -> list[str]:
        """The names below output/."""
        s3 = self.client("s3", PLACES[environment])
        pages = s3.get_paginator("list_objects_v2").paginate(
            Bucket=self.bucket(environment), Prefix="output/"
        )
        return [each["Key"].removeprefix("output/") for page in pages for each in page.get("Contents", [])]

    def ask_endpoint(self, texts: Sequence[str], package_arn: str) -> list[dict[str, Any]]:
        """What an endpoint of a version answers, made for this in staging: one answer for each text."""
        sagemaker = self.client("sagemaker")
        name = f"compared-{package_arn.rpartition('/')[2]}"
        role = f"arn:aws:iam::{SHARED}:role/mlops/service-staging/{SLUG}-staging-jobs"
        sagemaker.create_model(
            ModelName=name, ExecutionRoleArn=role, PrimaryContainer={"ModelPackageName": package_arn}
        )
        variant = {
            "VariantName": "AllTraffic",
            "ModelName": name,
            "ServerlessConfig": {"MemorySizeInMB": 3072, "MaxConcurrency": 1},
        }
        sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant])
        sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
        sagemaker.get_waiter("endpoint_in_service").wait(EndpointName=name, WaiterConfig={"Delay": 1})
        answer = self.client("sagemaker-runtime").invoke_endpoint(
            EndpointName=name, ContentType="application/json", Body=json.dumps({"inputs": list(texts)})
        )
        found: list[dict[str, Any]] = json.loads(answer["Body"].read())
        sagemaker.delete_endpoint(EndpointName=name)
        return found

    def _answered(self, environment: str, name: str, run: dict[str, Any]) -> Answered:
        sagemaker = self.client("sagemaker", PLACES[environment])
        s3 = self.client("s3", PLACES[environment])
        execution = run["arn"].rpartition("/")[2]
        told = sagemaker.describe_pipeline_execution(PipelineExecutionArn=run["arn"])
        steps = sagemaker.list_pipeline_execution_steps(PipelineExecutionArn=run["arn"])
        reasons = [
            step["FailureReason"] for step in steps["PipelineExecutionSteps"] if "FailureReason" in step
        ]
        try:
            key = f"work/{execution}/request/request.json"
            request = json.loads(s3.get_object(Bucket=self.bucket(environment), Key=key)["Body"].read())
            body = s3.get_object(Bucket=self.bucket(environment), Key=request["summary_key"])["Body"].read()
            summary, rows = (
                json.loads(body),
                self.result(environment, request["result_key"][len("output/") :]),
            )
        except s3.exceptions.NoSuchKey:
            summary, rows = None, []
        reason = " ".join([told.get("FailureReason", ""), *reasons]).strip()
        return Answered(run["status"], reason, rows, summary, execution, run["parameters"])


def settled() -> bool:
    """Whether every event was delivered."""
    return events.wait_idle()


@contextmanager
def opened(
    generate: Callable[..., Path],
    container_python: Path,
    git: Callable[..., str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Organisation]:
    """The organisation with a model that waits for approval, and this repository not registered."""
    server = batch_repository(generate, git, tmp_path_factory.mktemp("server"))
    about = {"slug": SLUG, "configuration": "config/transform.yaml"}
    with organisation.opened(
        Organisation, server, generate, git, container_python, tmp_path_factory, **about
    ) as made:
        yield made


def batch_repository(generate: Callable[..., Path], git: Callable[..., str], folder: Path) -> Path:
    """A batch-inference repository whose canary asks about the tiny model's words."""
    answers = {"model_package_group": organisation.GROUP, "text_column": "body"}
    repository = generate(folder, directory="batch-inference", **answers)
    with (repository / "examples/words.csv").open("w", newline="", encoding="utf-8") as file:
        rows = [(number, question["text"], question["label"]) for number, question in enumerate(QUESTIONS, 1)]
        csv.writer(file).writerows([("id", "body", "team"), *rows])
    path = repository / "config/transform.yaml"
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    document["canary"] |= {"file": "examples/words.csv", "label_column": "team", "min_agreement_percent": 100}
    document["input"]["max_bad_percent"] = 50
    other = {"instance_count": 2, "max_payload_mb": 6, "split": "None", "join": "None"}
    document["production"]["transform"] |= other  # both ways of feeding the model are in the story
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    git(repository, "add", "--all")
    git(repository, "commit", "--quiet", "--message", "The tiny model's words")
    return repository
