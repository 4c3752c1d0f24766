"""Transform jobs of the sandbox, through the real Hugging Face handler, with their time and memory.

What a benchmark of batch transform needs: a sandbox with models, a file of requests, a job that is run and
watched.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from endpoint import OURS, archive_of
from machine import ROOT, container_python
from watched_jobs import Seen, watched

from mlops_workbench.sandbox import Sandbox
from mlops_workbench.sandbox.containers.context import JobContext
from mlops_workbench.sandbox.images import Images
from mlops_workbench.sandbox.services.sagemaker.jobs.transform import run_transform

sys.path.append(str(ROOT / "tools"))
from generated import repository

sys.path.append(str(repository("batch-inference")))
from batch_inference import requests
from batch_inference.config import Transform

ACCOUNT, REGION, BUCKET = "111111111111", "ca-central-1", "batch"
IMAGE = f"763104351884.dkr.ecr.{REGION}.amazonaws.com/huggingface-pytorch-inference:2.6.0-cpu"


@dataclass(frozen=True)
class Ran:
    """What a job took.

    Attributes:
        seconds: from its start to its end, the model server's own start among them.
        answering: seconds of these since the server was there.
        servers: peak memory of the processes that hold a model, MB, all of them together.
        sandbox: by how much this process has grown, MB.
        answers: the files that it wrote, in the order of what was asked.
    """

    seconds: float
    answering: float
    servers: float
    sandbox: float
    answers: list[Path]


@contextmanager
def world(folder: Path) -> Iterator[Sandbox]:
    """A sandbox with a bucket."""
    images = Images.single(container_python())
    with Sandbox(folder / "sandbox", images, accounts=(ACCOUNT,), region=REGION) as sandbox:
        where = {"LocationConstraint": REGION}
        sandbox.client("s3").create_bucket(Bucket=BUCKET, CreateBucketConfiguration=where)
        yield sandbox


def add_model(sandbox: Sandbox, name: str, model: Path, variables: Mapping[str, str] = OURS) -> None:
    """Make a SageMaker model of a folder with what is in model.tar.gz."""
    archive = model.parent / f"{name}.tar.gz"
    archive_of(model, archive)
    sandbox.client("s3").upload_file(str(archive), BUCKET, f"models/{name}/model.tar.gz")
    archive.unlink()
    sandbox.client("sagemaker").create_model(
        ModelName=name,
        ExecutionRoleArn=f"arn:aws:iam::{ACCOUNT}:role/jobs",
        PrimaryContainer={
            "Image": IMAGE,
            "ModelDataUrl": f"s3://{BUCKET}/models/{name}/model.tar.gz",
            "Environment": dict(variables),
        },
    )


def ours(model: str, wanted: Transform | None = None, **variables: str) -> dict[str, Any]:
    """CreateTransformJob as a batch-inference repository sends it, with its settings or its defaults."""
    wanted = wanted or Transform()
    job: dict[str, Any] = {
        "ModelName": model,
        "BatchStrategy": requests.strategy(wanted),
        "MaxPayloadInMB": wanted.max_payload_mb,
        "MaxConcurrentTransforms": wanted.max_concurrent_transforms,
        "ModelClientConfig": {"InvocationsTimeoutInSeconds": 3600, "InvocationsMaxRetries": 0},
        "Environment": {**requests.container_environment(wanted), **variables},
        "TransformInput": {"ContentType": requests.JSON_LINES, "SplitType": wanted.split},
        "TransformOutput": {"Accept": requests.JSON_LINES, "AssembleWith": "Line"},
        "TransformResources": {
            "InstanceType": wanted.instance_type,
            "InstanceCount": wanted.instance_count,
        },
    }
    if processing := requests.data_processing(wanted):
        job["DataProcessing"] = processing
    return job


def theirs(model: str) -> dict[str, Any]:
    """CreateTransformJob as the public examples of the Hugging Face images send it: one record a request."""
    return {
        "ModelName": model,
        "BatchStrategy": "SingleRecord",
        "TransformInput": {"ContentType": "application/json", "SplitType": "Line"},
        "TransformOutput": {"Accept": "application/json"},
        "TransformResources": {"InstanceType": Transform().instance_type, "InstanceCount": 1},
    }


def write_requests(path: Path, texts: Iterable[str], parameters: Mapping[str, Any]) -> Path:
    """Write what normalise.py would: a line for each text."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for number, text in enumerate(texts, start=1):
            line = {"id": number, "inputs": text, "parameters": dict(parameters)}
            file.write(json.dumps(line, ensure_ascii=False, separators=(",", ":")) + "\n")
    return path


def run(sandbox: Sandbox, name: str, job: Mapping[str, Any], asked: Sequence[Path], folder: Path) -> Ran:
    """Run a transform job over some files, and watch it.

    Args:
        sandbox: has the model.
        name: of the job, used only once.
        job: of CreateTransformJob, without name and places.
        asked: the files.
        folder: for its work and its answers.
    """
    s3 = sandbox.client("s3")
    for path in asked:
        s3.upload_file(str(path), BUCKET, f"{name}/asked/{path.name}")
    source = {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": f"s3://{BUCKET}/{name}/asked"}}
    request = {
        **job,
        "TransformJobName": name,
        "TransformInput": {**job["TransformInput"], "DataSource": source},
        "TransformOutput": {**job["TransformOutput"], "S3OutputPath": f"s3://{BUCKET}/{name}/answers"},
    }
    work = folder / f"{name}-job"
    seen = Seen()
    context = JobContext(
        name, ACCOUNT, REGION, work, sandbox.images, sandbox.environment(ACCOUNT), log=seen.line
    )
    began = time.perf_counter()
    with watched(work, seen):
        run_transform(request, context)
    ended = time.perf_counter()
    answers = folder / name
    answers.mkdir(parents=True, exist_ok=True)
    for path in asked:
        s3.download_file(BUCKET, f"{name}/answers/{path.name}.out", str(answers / f"{path.name}.out"))
    return Ran(
        seconds=ended - began,
        answering=ended - (seen.served or began),
        servers=sum(seen.peaks.values()),
        sandbox=seen.own,
        answers=[answers / f"{path.name}.out" for path in asked],
    )


Names = Callable[[], str]


def names(prefix: str) -> Names:
    """What gives each job a name of its own."""
    numbers = iter(range(1_000_000))
    return lambda: f"{prefix}-{next(numbers)}"
