"""The steps with models that train.py has trained, behind the real handler of the Hugging Face images.

A file's answers are those that the endpoint of the same model gives: of one target, and of two with triage,
one of them with any number of labels.
"""

from __future__ import annotations

import csv
import importlib.util
import json
import os
import random
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from mlops_workbench.sandbox import Sandbox
from mlops_workbench.sandbox.containers.context import JobContext
from mlops_workbench.sandbox.images import Images
from mlops_workbench.sandbox.services.sagemaker import serving
from mlops_workbench.sandbox.services.sagemaker.jobs.running import running

pytestmark = pytest.mark.slow

COLLECTION = Path(__file__).resolve().parents[2]
SERVERLESS = COLLECTION / "serverless-inference/{{cookiecutter.project_slug}}"
ACCOUNT, REGION = "111111111111", "ca-central-1"
REQUEST = {
    "version": 1,
    "bucket": "data",
    "key": "input/june.csv",
    "version_id": "v1",
    "execution_id": "e1",
    "model_package_arn": f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:model-package/survey/3",
    "model_package_version": 3,
    "format": "csv",
    "gzip": False,
    "source": "data.csv",
    "result_key": "output/june.csv",
}
WORDS = ["please", "we", "have", "a", "question", "about", "thank", "you", "invoice", "lift", "furnace"]

Ask = Callable[[str, str], str]


@pytest.fixture(scope="module")
def trained(generated: Path, container_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with model.tar.gz, and several/model.tar.gz of a model that has two targets and triage."""
    toolkit = [container_python, "-c", "import sagemaker_huggingface_inference_toolkit"]
    if subprocess.run(toolkit, capture_output=True).returncode:
        pytest.skip(f"{container_python}: no sagemaker-huggingface-inference-toolkit there")
    folder = tmp_path_factory.mktemp("trained")
    script = COLLECTION / "tests/model_build/trained_model.py"
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [container_python, "-B", script, generated, folder], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    for model in (folder, folder / "several"):
        with tarfile.open(model / "model.tar.gz", "w:gz") as packed:
            packed.add(model / "model", arcname=".")
    return folder


@contextmanager
def served(archive: Path, container_python: Path, folder: Path) -> Iterator[Ask]:
    """Asks a server of the model: body and content type, which is also that of the answer."""
    images = Images.single(container_python)
    with Sandbox(folder, images, accounts=(ACCOUNT,), region=REGION) as sandbox:
        s3 = sandbox.client("s3")
        s3.create_bucket(Bucket="models", CreateBucketConfiguration={"LocationConstraint": REGION})
        s3.upload_file(str(archive), "models", "model.tar.gz")
        keys = sandbox.environment(ACCOUNT)
        context = JobContext("job", ACCOUNT, REGION, folder / "jobs/job", sandbox.images, keys)
        code = {
            "SAGEMAKER_PROGRAM": "inference.py",
            "SAGEMAKER_SUBMIT_DIRECTORY": "/opt/ml/model/code",
        }
        source = {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://models/in"}}
        job = {
            "TransformJobName": "job",
            "ModelName": "model",
            "TransformInput": {"DataSource": source},
            "TransformOutput": {"S3OutputPath": "s3://models/out"},
            "TransformResources": {"InstanceType": "ml.m5.large", "InstanceCount": 1},
        }
        container = serving.Container("huggingface-pytorch-inference", "s3://models/model.tar.gz", code)
        with running("transform", job, context) as place, serving.serving(place, container) as server:

            def ask(body: str, form: str) -> str:
                answer = server.invoke(body.encode(), form, form, timeout=60)
                assert answer.status == 200, answer.body
                return answer.body.decode()

            yield ask


def texts(count: int) -> list[tuple[str, str]]:
    """Subjects and bodies; some are empty."""
    chance = random.Random(6)
    return [
        tuple(" ".join(chance.choices(WORDS, k=chance.choice((0, 3, 8)))) for _ in range(2))  # type: ignore[misc]
        for _ in range(count)
    ]


def step(code: Path, folder: Path, script: str, *arguments: str) -> None:
    """Runs a step of a repository in the folder of an execution."""
    done = subprocess.run(
        [sys.executable, "-B", str(code / "steps" / script), *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def answered(code: Path, folder: Path, rows: list[tuple[str, str]], ask: Ask, form: str, join: str) -> Path:
    """Has a file answered as the pipeline does it: the path of the result."""
    for name in ("source", "request", "answers"):
        (folder / name).mkdir(parents=True)
    with (folder / "source/data.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("id", "subject", "body"), *((n, *row) for n, row in enumerate(rows))])
    request = {**REQUEST, "result": f"answers.{form}"}
    (folder / "request/request.json").write_text(json.dumps(request), encoding="utf-8")
    columns = ("--text-column=subject", "--text-column=body")
    step(code, folder, "normalise.py", *folders("source", "request", "requests", "rows", "report"), *columns)
    for part in sorted((folder / "requests").iterdir()):
        lines = part.read_text(encoding="utf-8").splitlines()
        said: list[str] = []
        for first in range(0, len(lines), 7):  # as many lines as fit into a request
            body = "".join(f"{line}\n" for line in lines[first : first + 7])
            said += ask(body, "application/jsonlines").splitlines()
        if join == "Input":
            both = zip(lines, said, strict=True)
            said = [
                json.dumps({"id": json.loads(asked)["id"], "SageMakerOutput": json.loads(each)})
                for asked, each in both
            ]
        (folder / f"answers/{part.name}.out").write_text("\n".join(said) + "\n", encoding="utf-8")
    options = (f"--join={join}", f"--format={form}")
    step(code, folder, "answer.py", *folders("rows", "answers", "request", "report", "result"), *options)
    return folder / "result" / f"answers.{form}"


def folders(*names: str) -> list[str]:
    return [part for name in names for part in (f"--{name}", name)]


def endpoint_answers(rows: list[tuple[str, str]], ask: Ask) -> list[Any]:
    """What the endpoint says of each row that has a text."""
    inputs = [{"subject": subject, "body": body} for subject, body in rows if subject or body]
    found: list[Any] = json.loads(ask(json.dumps({"inputs": inputs}), "application/json"))
    return found


def endpoint_code() -> ModuleType:
    """How serverless-inference reads an answer."""
    spec = importlib.util.spec_from_file_location("endpoint", SERVERLESS / "serverless_inference/endpoint.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_file_s_answers_are_the_endpoint_s(
    trained: Path, batch: Path, container_python: Path, tmp_path: Path
) -> None:
    rows, read = texts(60), endpoint_code().read_answer
    empty = [not (subject or body) for subject, body in rows]
    assert any(empty)

    with served(trained / "several/model.tar.gz", container_python, tmp_path / "two") as ask:
        given = endpoint_answers(rows, ask)
        as_csv = answered(batch, tmp_path / "a", rows, ask, "csv", "Input")
        as_lines = answered(batch, tmp_path / "b", rows, ask, "jsonl", "None")
    with as_csv.open(encoding="utf-8", newline="") as file:
        table = list(csv.DictReader(file))
    objects = [json.loads(line) for line in as_lines.read_text(encoding="utf-8").splitlines()]
    added = ["team_label", "team_score", "team_needs_review"]
    added += ["topics_labels", "topics_scores", "topics_needs_review", "model_version", "error"]
    assert list(table[0]) == list(objects[0]) == ["id", "subject", "body", *added]
    assert [row["error"] for row in table] == ["no text" if nothing else "" for nothing in empty]
    asked = [
        pair for pair, nothing in zip(zip(table, objects, strict=True), empty, strict=True) if not nothing
    ]
    assert len(asked) == len(given)
    assert len({len(answer["topics"]["labels"]) for answer in given}) > 1, "some have more labels than others"
    for (row, record), answer in zip(asked, given, strict=True):
        team, topics = answer["team"], answer["topics"]
        labels, scores = (
            [each["label"] for each in topics["labels"]],
            [each["score"] for each in topics["labels"]],
        )
        assert (row["team_label"], record["team_label"]) == (team["label"],) * 2
        assert float(row["team_score"]) == record["team_score"] == pytest.approx(team["score"], abs=1e-5)
        assert (row["topics_labels"].split(";") if labels else [row["topics_labels"] or None]) == (
            labels or [None]
        )
        assert record["topics_labels"] == labels
        assert record["topics_scores"] == pytest.approx(scores, abs=1e-5)
        for name, said in (("team", team), ("topics", topics)):
            assert record[f"{name}_needs_review"] is said["needs_review"]
            assert row[f"{name}_needs_review"] == str(said["needs_review"]).lower()
        assert [target for target in read(answer)] == ["team", "topics"]
    summary = json.loads((tmp_path / "a/result/summary.json").read_text(encoding="utf-8"))
    assert summary["targets"]["topics"]["without_label"] == sum(
        not each["topics"]["labels"] for each in given
    )
    for name in ("team", "topics"):
        assert summary["targets"][name]["needs_review"] == sum(each[name]["needs_review"] for each in given)

    page = [sys.executable, str(batch / "examples/survey_summary.py"), str(as_csv), "--output", "page.html"]
    names = ["--id-column", "id", "--text-column", "body"]
    done = subprocess.run([*page, *names], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout == "page.html: 60 rows, team, topics\n", done.stderr
    assert "Team by topics" in (tmp_path / "page.html").read_text(encoding="utf-8")

    # the next version has a single target and no triage: the next file has its columns
    with served(trained / "model.tar.gz", container_python, tmp_path / "one") as ask:
        given = endpoint_answers(rows, ask)
        as_csv = answered(batch, tmp_path / "c", rows, ask, "csv", "Input")
    with as_csv.open(encoding="utf-8", newline="") as file:
        table = list(csv.DictReader(file))
    assert list(table[0]) == ["id", "subject", "body", "label", "score", "model_version", "error"]
    for row, answer in zip((row for row in table if not row["error"]), given, strict=True):
        assert row["label"] == answer["label"]
        assert float(row["score"]) == pytest.approx(answer["score"], abs=1e-5)
        assert list(read(answer)) == [""]
