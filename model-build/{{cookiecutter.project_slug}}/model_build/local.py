"""What needs the workbench of wheels/, which only laptops have: the sandbox, following a run, asking a model.

No other module of this package may import it: AWS runs those, and the workbench does not travel there.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mlops_workbench.sandbox import windows
from mlops_workbench.sandbox.containers.context import JobContext
from mlops_workbench.sandbox.errors import JobFailed, SandboxError
from mlops_workbench.sandbox.follow import follow as follow_execution
from mlops_workbench.sandbox.images import Images, ImagesError
from mlops_workbench.sandbox.server import Sandbox
from mlops_workbench.sandbox.services.codebuild import docker
from mlops_workbench.sandbox.services.sagemaker.jobs.transform import run_transform

from configuration import UserError

from . import registry, serving_image, versions
from .aws import Clients
from .config import Settings

FOLDER = ".sandbox"
SHOWN_CLASSES = 2
_WIDTH = 64  # characters of a text in the table


@contextmanager
def sandbox(settings: Settings) -> Iterator[Sandbox]:
    """The two accounts on this machine, with what the delivery's Terraform makes in them: the bucket.

    Raises:
        UserError: the sandbox cannot be used, e.g. another process has it.
    """
    accounts = settings.project.accounts
    try:
        windows.refuse()
        images = Images.load(settings.root / "sandbox.toml")
        # one account may play both parts
        distinct = tuple(dict.fromkeys((accounts.shared_services, accounts.production)))
        with Sandbox(
            settings.root / FOLDER, images=images, accounts=distinct, region=settings.project.region
        ) as running:
            _ensure_bucket(running, settings.project.bucket, settings.project.region)
            yield running
    except (SandboxError, ImagesError) as error:
        raise UserError(str(error)) from error


def follow(settings: Settings, execution: str, clients: Clients, jobs: Path | None = None) -> int:
    """Show a run until it ends, then what it measured; the exit status is 0 if it succeeded.

    Args:
        settings: of the repository.
        execution: its ARN.
        clients: for SageMaker and S3.
        jobs: where the jobs' logs are, if on this machine.
    """
    outcome = follow_execution(clients.sagemaker, execution, jobs_folder=jobs)
    folder = versions.report_folder(settings.root, execution)
    result = versions.collect(outcome.steps, clients.sagemaker, clients.s3, folder)
    if result is not None:
        print()
        print(versions.summary(result, settings.root))
    return 0 if outcome.status == "Succeeded" else 1


def python_of(running: Sandbox, image: str) -> Path:
    """The interpreter that stands for an image here, by sandbox.toml.

    Raises:
        UserError: there is none.
    """
    try:
        return running.images.python_for(image)
    except JobFailed as error:
        raise UserError(str(error)) from error


def push_serving_image(running: Sandbox, settings: Settings, say: Callable[[str], None]) -> None:
    """Bring the lean image into the sandbox's registry, as a push's build does before it trains.

    Raises:
        UserError: serving_image/ cannot be made an image of.
    """
    ecr, name = running.client("ecr"), serving_image.repository(settings.project)
    there = [each["repositoryName"] for each in ecr.describe_repositories()["repositories"]]
    if name not in there:
        ecr.create_repository(repositoryName=name, imageTagMutability="IMMUTABLE")
    with tempfile.TemporaryDirectory() as home:
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
        environment = {**os.environ, **running.environment(), "HOME": home, "PATH": path}

        def run(command: list[str], **given: Any) -> Any:
            return subprocess.run([sys.executable, docker.__file__, *command[1:]], env=environment, **given)

        serving_image.publish(settings.project, settings.root, ecr, run, say)


def _ensure_bucket(running: Sandbox, bucket: str, region: str) -> None:
    s3 = running.client("s3")
    if bucket not in {found["Name"] for found in s3.list_buckets()["Buckets"]}:
        where = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
        s3.create_bucket(Bucket=bucket, **where)
        s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})


def predict(settings: Settings, file: Path, version: int | None) -> int:
    """Print the most probable classes of each text in `file`, and whether a person should look at it.

    The model, which a local run registered, answers in a batch transform of the sandbox: through its own
    inference.py and the container's own handler, as it will behind an endpoint.

    Args:
        settings: of the repository.
        file: JSON Lines, each line a text or an object with the text columns.
        version: of the model package group; the newest when None.

    Raises:
        UserError: no such file or version, or the model refused a record.
    """
    records = _records(file)
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


def _records(file: Path) -> list[Any]:
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
    if not records:
        raise UserError(f"{file}: expected one JSON text or object a line, got an empty file")
    return records


def _package(settings: Settings, sagemaker: Any, version: int | None) -> str:
    newest = [
        str(package["ModelPackageArn"])
        for package in registry.model_packages(settings.project, sagemaker, 100)
    ]
    if not newest:
        raise UserError("no model is registered in the sandbox yet: run `make local` first")
    if version is None:
        return newest[0]
    wanted = [arn for arn in newest if arn.endswith(f"/{version}")]
    if not wanted:
        known = ", ".join(arn.rsplit("/", 1)[-1] for arn in newest)
        raise UserError(f"--model {version}: expected one of the versions {known}")
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
