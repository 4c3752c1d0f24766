"""`submit` and `results` against the sandbox: an upload starts a pipeline, whose functions are the real ones.

Only the steps between them are short: a function stands for the jobs, and answers each row with "positive".
"""

from __future__ import annotations

import csv
import io
import json
import os
import re
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mlops_workbench.sandbox import Sandbox
from tests.sandbox.services.events.support import make_role, make_rule

pytestmark = pytest.mark.slow

SHARED, REGION, SLUG, GROUP = "111111111111", "ca-central-1", "survey-batch", "survey-sentiment"
BUCKET, PIPELINE = f"mlops-{SLUG}-staging-{SHARED}-{REGION}", f"{SLUG}-staging"
IMAGE = "763104351884.dkr.ecr.ca-central-1.amazonaws.com/huggingface-pytorch-inference:2.6.0"
VARIABLES = {
    "BUCKET": BUCKET,
    "ENVIRONMENT": "staging",
    "INPUT_PREFIX": "input/",
    "OUTPUT_PREFIX": "output/",
    "FORMATS": "csv,jsonl",
    "OUTPUT_FORMAT": "csv",
    "OUTPUT_COMPRESSION": "none",
    "MODEL_PACKAGE_GROUP_ARN": f"arn:aws:sagemaker:{REGION}:{SHARED}:model-package-group/{GROUP}",
}
JOBS = """
import csv, io, json, time
import boto3


def handler(event, context):
    s3, bucket, work = boto3.client("s3"), event["bucket"], "work/" + event["execution_id"]
    read = lambda key: s3.get_object(Bucket=bucket, Key=f"{work}/{key}")["Body"].read().decode()
    request = json.loads(read("request/request.json"))
    rows = list(csv.DictReader(io.StringIO(read("source/" + request["source"]))))
    text = " ".join(row["comment"] for row in rows)
    if "break" in text:
        raise ValueError("input/broken.csv: 3 of 3 rows are bad")
    time.sleep(8 if "slowly" in text else 0)
    lines = ["comment,label,score,model_version,error"]
    lines += [f"{row['comment']},positive,0.9,1," for row in rows]
    summary = {
        "version": 1, "rows": len(rows), "answered": len(rows), "empty": 0, "bad": 0,
        "labels": {"positive": len(rows)}, "mean_scores": {"positive": 0.9}, "errors": {},
        "model_package_arn": request["model_package_arn"],
        "model_package_version": request["model_package_version"],
        "source": {name: request[name] for name in ("bucket", "key", "version_id")},
        "execution_id": request["execution_id"], "result_key": request["result_key"],
    }
    for name, body in ((request["result"], "\\n".join(lines)), ("summary.json", json.dumps(summary))):
        s3.put_object(Bucket=bucket, Key=f"{work}/result/{name}", Body=body.encode())
    return {}
"""


@dataclass
class World:
    """The environment staging, and a repository that was generated."""

    sandbox: Sandbox
    repository: Path

    @property
    def s3(self) -> Any:
        return self.sandbox.client("s3")

    def start(self, *arguments: str, **options: Any) -> subprocess.Popen[str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        return subprocess.Popen(
            [sys.executable, "-m", "batch_inference", *arguments],
            cwd=self.repository,
            env={**kept, **self.sandbox.environment(options.pop("account", SHARED))},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
        process = self.start(*arguments, **options)
        out, error = process.communicate(timeout=120)
        assert "Traceback" not in error, error
        return subprocess.CompletedProcess(arguments, process.returncode, out, error)

    def file(self, name: str, *comments: str) -> Path:
        path = self.repository / name
        with path.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([["comment"], *([comment] for comment in comments)])
        return path

    def versions(self, key: str) -> int:
        return len(self.s3.list_object_versions(Bucket=BUCKET, Prefix=key).get("Versions", []))


@pytest.fixture
def world(tmp_path: Path, generate: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    repository = generate(tmp_path, directory="batch-inference")
    with Sandbox(tmp_path / "sandbox", accounts=(SHARED, "222222222222"), region=REGION) as opened:
        s3 = opened.client("s3")
        s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
        s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
        s3.put_bucket_notification_configuration(
            Bucket=BUCKET, NotificationConfiguration={"EventBridgeConfiguration": {}}
        )
        approve(opened)
        make_pipeline(opened, repository)
        yield World(opened, repository)


def approve(sandbox: Sandbox) -> None:
    """A model package group with one approved version."""
    registry = sandbox.client("sagemaker")
    registry.create_model_package_group(ModelPackageGroupName=GROUP)
    registry.create_model_package(
        ModelPackageGroupName=GROUP,
        ModelApprovalStatus="Approved",
        InferenceSpecification={
            "Containers": [{"Image": IMAGE, "ModelDataUrl": "s3://models/model.tar.gz"}],
            "SupportedContentTypes": ["application/json"],
            "SupportedResponseMIMETypes": ["application/json"],
        },
    )


def make_pipeline(sandbox: Sandbox, repository: Path) -> None:
    """Begin, jobs and Publish, started by files below input/."""
    role = make_role(sandbox, "functions", "lambda.amazonaws.com", "*")
    real = {
        f"{inside}{path.name}": path.read_text(encoding="utf-8")
        for folder, inside in {"functions": "", "steps": "steps/", "watching": "watching/"}.items()
        for path in (repository / folder).glob("*.py")
    }
    functions = {"begin": ("begin.handler", real), "publish": ("publish.handler", real)}
    functions["jobs"] = ("jobs.handler", {"jobs.py": JOBS})
    arns = {}
    for name, (handler, files) in functions.items():
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            for file, text in files.items():
                archive.writestr(file, text)
        arns[name] = sandbox.client("lambda").create_function(
            FunctionName=name,
            Runtime="python3.12",
            Role=role,
            Handler=handler,
            Timeout=60,
            Environment={"Variables": VARIABLES},
            Code={"ZipFile": packed.getvalue()},
        )["FunctionArn"]
    bucket, key, version = ({"Get": f"Parameters.{name}"} for name in ("Bucket", "Key", "Version"))
    execution = {"Get": "Execution.PipelineExecutionId"}
    given = {"bucket": bucket, "key": key, "version_id": version, "execution_id": execution}
    steps = [
        step("Begin", arns["begin"], given, ["ModelPackageArn"]),
        step("Transform", arns["jobs"], {"bucket": bucket, "execution_id": execution}, [], "Begin"),
        step(
            "Publish",
            arns["publish"],
            {"execution_id": execution, "model_name": ""},
            ["Published"],
            "Transform",
        ),
    ]
    definition = {
        "Version": "2020-12-01",
        "Metadata": {},
        "Parameters": [
            {"Name": "Bucket", "Type": "String"},
            {"Name": "Key", "Type": "String"},
            {"Name": "Version", "Type": "String", "DefaultValue": "latest"},
        ],
        "Steps": steps,
    }
    arn = sandbox.client("sagemaker").create_pipeline(
        PipelineName=PIPELINE,
        PipelineDefinition=json.dumps(definition),
        RoleArn=make_role(sandbox, "pipeline", "sagemaker.amazonaws.com", "*"),
    )["PipelineArn"]
    pattern = {
        "source": ["aws.s3"],
        "detail-type": ["Object Created"],
        "detail": {"bucket": {"name": [BUCKET]}, "object": {"key": [{"prefix": "input/"}]}},
    }
    places = {"Bucket": "bucket.name", "Key": "object.key", "Version": "object.version-id"}
    parameters = [{"Name": name, "Value": f"$.detail.{place}"} for name, place in places.items()]
    make_rule(
        sandbox,
        pattern,
        {
            "Arn": arn,
            "RoleArn": make_role(
                sandbox, "events", "events.amazonaws.com", "sagemaker:StartPipelineExecution"
            ),
            "SageMakerPipelineParameters": {"PipelineParameterList": parameters},
        },
    )


def step(name: str, arn: str, given: dict[str, Any], outputs: list[str], *after: str) -> dict[str, Any]:
    """A Lambda step."""
    return {
        "Name": name,
        "Type": "Lambda",
        "FunctionArn": arn,
        "Arguments": given,
        "OutputParameters": [{"OutputName": output, "OutputType": "String"} for output in outputs],
        "DependsOn": list(after),
    }


def test_a_file_is_uploaded_followed_and_its_answers_are_brought_back(world: World) -> None:
    world.file("july.csv", "fine", "good, really", "thanks")
    done = world.run("submit", "july.csv")
    assert done.returncode == 0, done.stdout + done.stderr
    for step_name in ("Begin", "Transform", "Publish"):
        assert re.search(rf"\d:\d\d  {step_name}: done in \d+ s", done.stdout), done.stdout
    assert re.search(r"positive\s+3\s+100\.0 %\s+[█#]+\s+0\.90", done.stdout), done.stdout
    assert "answered by version 1 of the model" in done.stdout
    assert f"s3://{BUCKET}/output/july.csv" in done.stdout
    answers = (world.repository / "results/july.csv").read_text(encoding="utf-8")
    assert answers.splitlines()[1] == "fine,positive,0.9,1,"
    summary = json.loads((world.repository / "results/july.csv.summary.json").read_text(encoding="utf-8"))
    assert summary["answered"] == 3


def test_a_file_that_fails_ends_with_the_step_and_its_reason_while_others_are_answered(world: World) -> None:
    world.file("broken.csv", "please break", "x", "y")
    world.file("good.csv", "fine")
    done = world.run("submit", "broken.csv", "good.csv", "--output", "elsewhere")
    assert done.returncode == 1
    assert "broken.csv: step Transform failed: " in done.stderr
    assert "input/broken.csv: 3 of 3 rows are bad" in done.stderr
    assert (world.repository / "elsewhere/good.csv").is_file()
    assert not (world.repository / "elsewhere/broken.csv").exists()
    shown = world.run("results").stdout
    assert re.search(r"^good\.csv .* version 1 +positive \(100 %\)$", shown, re.MULTILINE), shown
    assert "Not answered:\n  broken.csv  since" in shown and "step Transform failed" in shown
    assert world.run("results", "broken.csv").returncode == 1
    world.file("broken.csv", "mended")
    assert world.run("submit", "broken.csv").returncode == 0
    assert "Not answered" not in world.run("results").stdout


def test_a_replaced_file_is_said_to_be_replaced_and_may_have_another_name(world: World) -> None:
    world.file("a b.csv", "fine")
    first = world.run("submit", "a b.csv", "--as", "2026/été.csv")
    assert first.returncode == 0 and "replaces" not in first.stdout, first.stderr
    world.file("a b.csv", "fine", "again")
    second = world.run("submit", "a b.csv", "--as", "2026/été.csv")
    assert "replaces the file of 20" in second.stdout
    assert re.search(r"rows +2\n", second.stdout), second.stdout
    assert world.versions("input/2026/été.csv") == 2
    (world.repository / "results/2026/été.csv").unlink()
    shown = world.run("results", "2026/été.csv")
    assert shown.returncode == 0 and re.search(r"rows +2\n", shown.stdout), shown.stdout + shown.stderr
    assert (world.repository / "results/2026/été.csv").is_file()


def test_without_waiting_it_says_how_to_look_later(world: World) -> None:
    world.file("july.csv", "fine, but slowly")
    done = world.run("submit", "july.csv", "--no-wait")
    assert done.returncode == 0 and "python -m batch_inference results july.csv" in done.stdout
    under_way = world.run("results").stdout
    assert "No answers" in under_way and "Under way:\n  july.csv  since" in under_way
    asked = world.run("results", "july.csv")
    assert asked.returncode == 1 and "is under way" in asked.stdout


def test_ctrl_c_leaves_the_work_going_and_says_so(world: World) -> None:
    world.file("july.csv", "fine, but slowly")
    process = world.start("submit", "july.csv")
    assert process.stdout is not None
    for line in process.stdout:
        if "Transform …" in line:
            break
    process.send_signal(signal.SIGINT)
    out, error = process.communicate(timeout=30)
    assert process.returncode == 130 and "Traceback" not in error
    assert "The work goes on in AWS" in out and "results july.csv" in out
    end = time.monotonic() + 60
    while (done := world.run("results", "july.csv")).returncode and time.monotonic() < end:
        time.sleep(1)
    assert done.returncode == 0, done.stdout


def test_another_account_s_credentials_upload_nothing(world: World) -> None:
    world.file("july.csv", "fine")
    done = world.run("submit", "july.csv", account="222222222222")
    assert done.returncode == 1
    assert f"expected account {SHARED} (that of staging), got account 222222222222" in done.stderr
    assert world.versions("input/") == 0


def test_a_file_that_the_pipeline_would_refuse_is_not_uploaded(world: World) -> None:
    (world.repository / "july.csv").write_text("remark\nfine\n", encoding="utf-8")
    done = world.run("submit", "july.csv")
    assert done.returncode == 1
    assert (
        'july.csv: expected the column "comment" (input.text_columns), the header has "remark"' in done.stderr
    )
    assert world.versions("input/") == 0
