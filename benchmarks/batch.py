"""How a batch grows: rows per second and memory of each step for ever larger files of short comments.

The steps are those of the pipeline: normalise.py, a transform job through the model's own inference.py behind
the Hugging Face handler in the sandbox, and answer.py. Two models: `default`, the default base model with an
untrained head, and `tiny`, a transformer of 30,000 parameters, with which the steps around the model show.

    python benchmarks/batch.py --model tiny --rows 1000 100000 1000000
    python benchmarks/batch.py --model default --rows 1000

Absolute figures are this machine's; how they grow is not. MLOPS_CONTAINER_PYTHON is the Python that stands
for SageMaker's images.
"""

from __future__ import annotations

import argparse
import csv
import os
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from batch_steps import STEPS, measure, write_source
from endpoint import OURS, ROOT, WRITE_MODEL, archive_of, base_model
from mlops_sandbox import Sandbox
from mlops_sandbox.jobs import Images, JobContext, run_transform

ACCOUNT, REGION, BUCKET = "111111111111", "ca-central-1", "batch"
IMAGE = f"763104351884.dkr.ecr.{REGION}.amazonaws.com/huggingface-pytorch-inference:2.6.0-cpu"


class Row(NamedTuple):
    """One size: seconds of each step and the peak memory of its processes in MB."""

    rows: int
    normalise: tuple[float, float]
    transform: tuple[float, float, float]  # seconds, the sandbox's own growth, the model server's
    answer: tuple[float, float]


def main() -> None:
    """Measure each size once and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, nargs="+", default=[1000, 10_000])
    parser.add_argument("--model", choices=("tiny", "default"), default="tiny")
    parser.add_argument("--instances", type=int, default=1)
    options = parser.parse_args()
    python = Path(os.environ.get("MLOPS_CONTAINER_PYTHON", ROOT / ".venv-container/bin/python"))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_model(python, folder, options.model)
        with Sandbox(
            folder / "sandbox", Images.single(python), accounts=(ACCOUNT,), region=REGION
        ) as sandbox:
            make_model(sandbox, folder / "model.tar.gz")
            found = []
            for rows in options.rows:
                found.append(one_size(sandbox, folder / str(rows), rows, options.instances))
                print(line(found[-1]), flush=True)
    print(f"\n{options.model} model, {options.instances} instance(s)\n{HEAD}")
    print("\n".join(line(each) for each in found))


def write_model(python: Path, folder: Path, kind: str) -> None:
    """model.tar.gz with our inference.py.

    Raises:
        SystemExit: it could not be written; its words were shown.
    """
    source = folder / "base"
    if kind == "tiny":
        subprocess.run([python, ROOT / "tests/model_build/tiny_model.py", source], check=True)
    model = folder / "model"
    model.mkdir()
    steps = ROOT / "model-build" / "{{cookiecutter.project_slug}}" / "steps"
    command = [python, "-c", WRITE_MODEL, steps, model, source if kind == "tiny" else base_model()]
    if subprocess.run(command, env={**os.environ, "HF_HUB_OFFLINE": "1"}).returncode:
        raise SystemExit("the model could not be written")
    archive_of(model, folder / "model.tar.gz")


def make_model(sandbox: Sandbox, archive: Path) -> None:
    """The model in the sandbox."""
    s3, sagemaker = sandbox.client("s3"), sandbox.client("sagemaker")
    s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
    s3.upload_file(str(archive), BUCKET, "models/model.tar.gz")
    container = {"Image": IMAGE, "ModelDataUrl": f"s3://{BUCKET}/models/model.tar.gz", "Environment": OURS}
    role = f"arn:aws:iam::{ACCOUNT}:role/jobs"
    sagemaker.create_model(ModelName="model", ExecutionRoleArn=role, PrimaryContainer=container)


def one_size(sandbox: Sandbox, folder: Path, rows: int, instances: int) -> Row:
    """Have a file of so many rows answered."""
    folder.mkdir()
    write_source(folder, rows, None)
    places = [f"--{name}={folder / name}" for name in ("request", "rows", "report")]
    normalise = measure(
        STEPS / "normalise.py",
        *places,
        f"--source={folder / 'source'}",
        f"--requests={folder / 'requests'}",
        "--text-column=text",
        f"--instances={instances}",
    )
    transform = transformed(sandbox, folder, instances)
    answer = measure(
        STEPS / "answer.py", *places, f"--answers={folder / 'answers'}", f"--result={folder / 'result'}"
    )
    with (folder / "result/answers.csv").open(encoding="utf-8", newline="") as file:
        answered = sum(bool(row["label"]) for row in csv.DictReader(file))
    if answered != rows:
        raise SystemExit(f"expected {rows} answers, got {answered}")
    return Row(rows, (normalise.seconds, normalise.peak), transform, (answer.seconds, answer.peak))


def transformed(sandbox: Sandbox, folder: Path, instances: int) -> tuple[float, float, float]:
    """Run the transform job over the requests; seconds, and the memory of the sandbox and of its servers."""
    s3, prefix = sandbox.client("s3"), folder.name
    for path in sorted((folder / "requests").iterdir()):
        s3.upload_file(str(path), BUCKET, f"{prefix}/asked/{path.name}")
    job = {
        "TransformJobName": f"rows-{prefix}",
        "ModelName": "model",
        "BatchStrategy": "MultiRecord",
        "MaxPayloadInMB": 1,
        "MaxConcurrentTransforms": 2,
        "ModelClientConfig": {"InvocationsTimeoutInSeconds": 3600, "InvocationsMaxRetries": 0},
        "TransformInput": {
            "DataSource": {
                "S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": f"s3://{BUCKET}/{prefix}/asked"}
            },
            "ContentType": "application/jsonlines",
            "SplitType": "Line",
        },
        "TransformOutput": {
            "S3OutputPath": f"s3://{BUCKET}/{prefix}/answers",
            "Accept": "application/jsonlines",
            "AssembleWith": "Line",
        },
        "DataProcessing": {"JoinSource": "Input", "OutputFilter": "$['id','SageMakerOutput']"},
        "TransformResources": {"InstanceType": "ml.m5.large", "InstanceCount": instances},
    }
    name = f"rows-{prefix}"
    context = JobContext(name, ACCOUNT, REGION, folder / "job", sandbox.images, sandbox.environment(ACCOUNT))
    began = time.perf_counter()
    with watched() as peaks:
        run_transform(job, context)
    seconds = time.perf_counter() - began
    for path in sorted((folder / "requests").iterdir()):
        out = f"{path.name}.out"
        s3.download_file(BUCKET, f"{prefix}/answers/{out}", str(folder / "answers" / out))
    return seconds, peaks["self"], peaks["servers"]


@contextmanager
def watched() -> Iterator[dict[str, float]]:
    """Peak memory in MB while the block runs: how much this process has grown, and its model servers' sum."""
    begin = resident(os.getpid())
    peaks, over = {"self": 0.0, "servers": 0.0}, threading.Event()

    def look() -> None:
        while not over.wait(0.2):
            peaks["self"] = max(peaks["self"], resident(os.getpid()) - begin)
            servers = sum(resident(pid) for pid in pids() if "serve.py" in command(pid))
            peaks["servers"] = max(peaks["servers"], servers)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield peaks
    finally:
        over.set()
        thread.join()


def pids() -> list[int]:
    """All processes of this machine."""
    return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdecimal()]


def command(pid: int) -> str:
    """A process's Python script and its arguments; nothing when it has ended, or only supervises others."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return ""
    return " ".join(words[1:]) if not any("supervisor.py" in word for word in words) else ""


def resident(pid: int) -> float:
    """Memory that a process has in RAM, in MB; 0 when it has ended."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
    except (OSError, IndexError):
        return 0.0


HEAD = (
    f"{'rows':>10}  {'normalise':>22}  {'transform':>34}  {'answer':>22}  rows/s through the model\n"
    f"{'':>10}  {'CPU s    MB':>22}  {'s    sandbox +MB    servers MB':>34}  {'CPU s    MB':>22}"
)


def line(row: Row) -> str:
    """One size as a line of the table."""
    seconds, own, servers = row.transform
    return (
        f"{row.rows:>10,}  {row.normalise[0]:>12.2f} {row.normalise[1]:>9.0f}  "
        f"{seconds:>12.1f} {own:>9.0f} {servers:>11.0f}  "
        f"{row.answer[0]:>12.2f} {row.answer[1]:>9.0f}  {row.rows / seconds:>10,.0f}"
    )


if __name__ == "__main__":
    main()
