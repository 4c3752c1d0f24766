"""Asks a model that a local run registered: a batch transform in the sandbox, shown as a table.

The model answers through its own inference.py and the container's own handler, as it will behind an endpoint.
"""

import json
import re
import time
from pathlib import Path
from typing import Any

from mlops_workbench.sandbox import Sandbox
from mlops_workbench.sandbox.containers.context import JobContext
from mlops_workbench.sandbox.errors import JobFailed
from mlops_workbench.sandbox.services.sagemaker.jobs.transform import run_transform

from configuration.errors import UserError

from .config import Settings
from .local import sandbox
from .versions import model_packages

SHOWN_CLASSES = 2
_WIDTH = 64  # characters of a text in the table


def predict(settings: Settings, file: Path, version: int | None) -> int:
    """Print the most probable classes of each text in `file`, and whether a person should look at it.

    Args:
        settings: of the repository.
        file: JSON Lines, each line a text or an object with the text columns.
        version: of the model package group; the newest when None.

    Raises:
        UserError: no such file or version, or the model refused a record.
    """
    records = read(file)
    with sandbox(settings) as running:
        arn = _package(settings, running.client("sagemaker"), version)
        answers = _ask(settings, running, arn, records)
    print(f"{arn} says:")
    for record, answer in zip(records, answers, strict=True):
        print("\n".join(lines(_shorten(record, settings.model.data.text_columns), answer)))
    return 0


def lines(text: str, answer: Any) -> list[str]:
    """What is shown of one text: one line, or with several targets one more for each of them.

    Args:
        text: short enough for a line.
        answer: of steps/inference.py, with `top_k`.
    """
    several = isinstance(answer, dict) and "labels" not in answer
    if not several:
        return [f"  {text:<{_WIDTH}}  {_said(answer)}"]
    widest = max(map(len, answer))
    return [f"  {text}", *(f"    {name:<{widest}}  {_said(said)}" for name, said in answer.items())]


def _said(answer: Any) -> str:
    labels = answer["labels"] if isinstance(answer, dict) else answer
    first = answer if isinstance(answer, dict) else answer[0]
    shown = ", ".join(f"{item['label']} {item['score']:.0%}" for item in labels) or "(none)"
    return f"{shown}  ? needs review" if first.get("needs_review") else shown


def read(file: Path) -> list[Any]:
    """The records of a JSON Lines file.

    Raises:
        UserError: it is missing or empty, or a line is not a text or an object.
    """
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{file}: expected a JSON Lines file: {error}") from error
    records = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except json.JSONDecodeError as error:
            raise UserError(
                f"{file}: line {number}: expected JSON, {error.msg} in column {error.colno}"
            ) from None
        if not isinstance(record, str | dict):
            raise UserError(
                f"{file}: line {number}: expected a text or an object with the text columns, got {line[:40]}"
            )
        records.append(record)
    return records or _none(file)


def _none(file: Path) -> Any:
    raise UserError(f"{file}: expected one JSON text or object a line, got an empty file")


def _package(settings: Settings, sagemaker: Any, version: int | None) -> str:
    newest = [str(package["ModelPackageArn"]) for package in model_packages(settings.project, sagemaker, 100)]
    if not newest:
        raise UserError("no model is registered in the sandbox yet: run `make local` first")
    if version is None:
        return newest[0]
    wanted = [arn for arn in newest if arn.endswith(f"/{version}")]
    if not wanted:
        versions = ", ".join(arn.rsplit("/", 1)[-1] for arn in newest)
        raise UserError(f"--model {version}: expected one of the versions {versions}")
    return wanted[0]


def _ask(settings: Settings, running: Sandbox, package_arn: str, records: list[Any]) -> list[Any]:
    """Run the transform; an answer for each record, in order."""
    project = settings.project
    account, region = project.accounts.shared_services, project.region
    s3, sagemaker = running.client("s3"), running.client("sagemaker")
    name = f"predict-{time.time_ns()}"
    asked = ({"inputs": record, "parameters": {"top_k": SHOWN_CLASSES}} for record in records)
    body = "".join(json.dumps(item, ensure_ascii=False) + "\n" for item in asked)
    s3.put_object(Bucket=project.bucket, Key=f"predict/{name}/input.jsonl", Body=body.encode())
    # By its parts, not by its ARN: SageMaker deploys a version by ARN only once somebody has approved it, and
    # here one asks the version that waits for that.
    found = sagemaker.describe_model_package(ModelPackageName=package_arn)["InferenceSpecification"]
    (container,) = found["Containers"]
    parts = {key: container[key] for key in ("Image", "ModelDataUrl", "Environment")}
    sagemaker.create_model(ModelName=name, PrimaryContainer=parts, ExecutionRoleArn=project.role_arn)
    source = {"S3DataType": "S3Prefix", "S3Uri": f"s3://{project.bucket}/predict/{name}/input.jsonl"}
    request = {
        "TransformJobName": name,
        "ModelName": name,
        "BatchStrategy": "MultiRecord",
        "TransformInput": {
            "DataSource": {"S3DataSource": source},
            "ContentType": "application/jsonlines",
            "SplitType": "Line",
        },
        "TransformOutput": {
            "S3OutputPath": f"s3://{project.bucket}/predict/{name}/output",
            "Accept": "application/jsonlines",
            "AssembleWith": "Line",
        },
        "TransformResources": {"InstanceType": "ml.m5.large", "InstanceCount": 1},
    }
    context = JobContext(
        name, account, region, running.folder / "jobs" / name, running.images, running.environment(account)
    )
    try:
        run_transform(request, context)
    except JobFailed as error:
        raise UserError("\n".join([*error.last_lines, error.reason])) from error
    output = s3.get_object(Bucket=project.bucket, Key=f"predict/{name}/output/input.jsonl.out")["Body"].read()
    return [json.loads(line) for line in output.decode().splitlines() if line.strip()]


def _shorten(record: Any, columns: list[str]) -> str:
    parts = (
        [record] if isinstance(record, str) else [str(record[name]) for name in columns if record.get(name)]
    )
    text = re.sub(r"\s+", " ", " | ".join(parts)).strip()
    return text if len(text) <= _WIDTH else text[: _WIDTH - 3] + "..."
