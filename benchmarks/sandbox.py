"""What the sandbox adds to a pipeline step beyond the step's own process, and how long it takes to start.

A pipeline of several steps, one after the other, beside the same processes started by hand on the same files:

* Processing: the template's preprocess.py on its sample emails; code and data come from S3, results go there.
* Training: a script that takes no time and leaves a model of 1 MB: what is left is the job around it.

The overhead of a step is the execution's time, from StartPipelineExecution to Succeeded, over the number of
steps, less the process's own time. Start-up is a new process, from its first instruction to the answer to its
first request, beside one that only makes a boto3 client.

    python benchmarks/sandbox.py --rounds 5 --steps 4

MLOPS_CONTAINER_PYTHON is the Python that stands for SageMaker's images.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import machine
from rounds import ROOT, Goal, arguments, container_python, measure, report, versions

from mlops_workbench.sandbox import Sandbox
from mlops_workbench.sandbox.images import Images

TEMPLATE = ROOT / "model-build/{{cookiecutter.project_slug}}"
ACCOUNT, REGION, BUCKET = "111111111111", "ca-central-1", "steps"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/pipeline"
IMAGE = f"763104351884.dkr.ecr.{REGION}.amazonaws.com/pytorch-training:2.9-cpu"
INSTANCES = {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1}
LABELLED = ("--text-column", "body", "--label-column", "service_line")
TRAIN = "import sys; open(sys.argv[1] + '/model.bin', 'wb').write(bytes(10**6))"
ENDED = ("Succeeded", "Failed", "Stopped")

START = """
import sys, time
began, folder = time.time(), sys.argv[1]
from mlops_workbench.sandbox import Sandbox
from mlops_workbench.sandbox.images import Images
images = Images.single(sys.executable)
with Sandbox(folder, images, accounts=("111111111111",), region="ca-central-1") as sandbox:
    sandbox.client("s3").list_buckets()
    answered = time.time() - began
print(answered)
"""

CLIENT = """
import sys, time
began = time.time()
import boto3
boto3.client("s3", region_name="ca-central-1")
print(time.time() - began)
"""


def main() -> None:
    """Measure the steps and the start."""
    parser = arguments(__doc__)
    parser.add_argument("--steps", type=int, default=4, help="in a pipeline, one after the other")
    options = parser.parse_args()
    rounds, steps = (2, 2) if options.quick else (options.rounds, options.steps)
    python = container_python()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "data").mkdir()
        shutil.copytree(machine.steps("model-build"), folder / "code")
        shutil.copy(TEMPLATE / "data/emails.csv", folder / "data")
        images = Images.single(python)
        with Sandbox(folder / "sandbox", images, accounts=(ACCOUNT,), region=REGION) as sandbox:
            upload(sandbox, folder)
            sides = {
                f"{kind}, {side}": run
                for kind, step, command in (
                    (
                        "processing",
                        processing,
                        [python, folder / "code/preprocess.py", *process_places(folder)],
                    ),
                    ("training", training, [python, "-c", TRAIN, folder / "out"]),
                )
                for side, run in (
                    ("in the sandbox", pipeline(sandbox, kind, [step(i) for i in range(steps)])),
                    ("by hand", by_hand(command, folder / "out", steps)),
                )
            }
            results = dict(measure(sides, rounds))
        starts = {"sandbox": starting(START, folder), "a boto3 client": starting(CLIENT, folder)}
        results |= measure(starts, rounds)
    report(
        "sandbox",
        "The sandbox around a step",
        results,
        *(
            Goal(
                f"sandbox overhead per {kind} step",
                "the step's own process",
                "time of a step, s",
                (f"{kind}, in the sandbox", f"{kind}, by hand"),
                at_most=1,
                minus=True,
                unit=" s",
            )
            for kind in ("processing", "training")
        ),
        Goal(
            "start-up of a sandbox",
            "a process that makes a boto3 client",
            "start-up, s",
            ("sandbox", "a boto3 client"),
            minus=True,
            unit=" s",
        ),
        quick=options.quick,
        libraries=versions("moto", "boto3"),
        notes=[f"Pipelines of {steps} steps, one after the other; roles are not enforced."],
    )


def process_places(folder: Path) -> list[str | Path]:
    """The arguments of preprocess.py by hand."""
    return ["--input", folder / "data/emails.csv", "--output", folder / "out", *LABELLED]


def upload(sandbox: Sandbox, folder: Path) -> None:
    """What the steps fetch."""
    s3 = sandbox.client("s3")
    s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
    for each in ("code", "data"):
        for path in (folder / each).iterdir():
            s3.upload_file(str(path), BUCKET, f"{each}/{path.name}")


def processing(number: int) -> dict[str, Any]:
    """A step that runs preprocess.py."""

    def at(name: str, direction: str, uri: str) -> dict[str, Any]:
        place = {"S3Uri": uri, "LocalPath": f"/opt/ml/processing/{name}"}
        more = {"S3DataType": "S3Prefix", "S3InputMode": "File"} if direction == "Input" else {}
        upload = {"S3UploadMode": "EndOfJob"} if direction == "Output" else {}
        return {f"{direction}Name": name, f"S3{direction}": {**place, **more, **upload}}

    code = "/opt/ml/processing/code/preprocess.py"
    call = {
        "RoleArn": ROLE,
        "AppSpecification": {
            "ImageUri": IMAGE,
            "ContainerEntrypoint": ["python3", code],
            "ContainerArguments": [
                "--input",
                "/opt/ml/processing/data/emails.csv",
                "--output",
                "/opt/ml/processing/sets",
                *LABELLED,
            ],
        },
        "ProcessingResources": {"ClusterConfig": INSTANCES},
        "ProcessingInputs": [at(name, "Input", f"s3://{BUCKET}/{name}") for name in ("code", "data")],
        "ProcessingOutputConfig": {"Outputs": [at("sets", "Output", f"s3://{BUCKET}/sets/{number}")]},
    }
    return step("Processing", number, call)


def training(number: int) -> dict[str, Any]:
    """A step that writes a model."""
    call = {
        "RoleArn": ROLE,
        "AlgorithmSpecification": {
            "TrainingImage": IMAGE,
            "TrainingInputMode": "File",
            "ContainerEntrypoint": ["python3", "-c", TRAIN, "/opt/ml/model"],
        },
        "InputDataConfig": [
            {
                "ChannelName": "train",
                "DataSource": {
                    "S3DataSource": {
                        "S3DataType": "S3Prefix",
                        "S3Uri": f"s3://{BUCKET}/data",
                        "S3DataDistributionType": "FullyReplicated",
                    }
                },
            }
        ],
        "OutputDataConfig": {"S3OutputPath": f"s3://{BUCKET}/models"},
        "ResourceConfig": INSTANCES,
        "StoppingCondition": {"MaxRuntimeInSeconds": 600},
    }
    return step("Training", number, call)


def step(kind: str, number: int, call: dict[str, Any]) -> dict[str, Any]:
    """One step that waits for the one before."""
    before = {"DependsOn": [f"{kind}{number - 1}"]} if number else {}
    return {"Name": f"{kind}{number}", "Type": kind, "Arguments": call, **before}


def pipeline(sandbox: Sandbox, name: str, steps: list[dict[str, Any]]) -> Callable[[], dict[str, float]]:
    """Make the pipeline; the side runs it to its end."""
    sagemaker = sandbox.client("sagemaker")
    definition = {"Version": "2020-12-01", "Metadata": {}, "Parameters": [], "Steps": steps}
    sagemaker.create_pipeline(PipelineName=name, PipelineDefinition=json.dumps(definition), RoleArn=ROLE)

    def run() -> dict[str, float]:
        began = time.perf_counter()
        arn = sagemaker.start_pipeline_execution(PipelineName=name)["PipelineExecutionArn"]
        while (found := sagemaker.describe_pipeline_execution(PipelineExecutionArn=arn))[
            "PipelineExecutionStatus"
        ] not in ENDED:
            time.sleep(0.05)
        if found["PipelineExecutionStatus"] != "Succeeded":
            raise SystemExit(f"{name}: {found.get('FailureReason', found['PipelineExecutionStatus'])}")
        return {"time of a step, s": (time.perf_counter() - began) / len(steps)}

    return run


def by_hand(command: list[Any], out: Path, steps: int) -> Callable[[], dict[str, float]]:
    """The same processes, one after the other."""

    def run() -> dict[str, float]:
        spent = 0.0
        for _ in range(steps):
            shutil.rmtree(out, ignore_errors=True)
            out.mkdir()
            began = time.perf_counter()
            subprocess.run(list(map(str, command)), check=True, stdout=subprocess.DEVNULL)
            spent += time.perf_counter() - began
        return {"time of a step, s": spent / steps}

    return run


def starting(code: str, folder: Path) -> Callable[[], dict[str, float]]:
    """A new process, with a folder of its own; the whole of it is until it has ended."""

    def run() -> dict[str, float]:
        with tempfile.TemporaryDirectory(dir=folder) as own:
            began = time.perf_counter()
            done = subprocess.run(
                [sys.executable, "-c", code, own], stdout=subprocess.PIPE, text=True, check=True
            )
            whole = time.perf_counter() - began
        return {"start-up, s": float(done.stdout.split()[-1]), "start-up and end, s": whole}

    return run


if __name__ == "__main__":
    main()
