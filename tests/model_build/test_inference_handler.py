"""inference.py behind the real handler of SageMaker's Hugging Face images, over HTTP."""

import json
import os
import shutil
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from mlops_sandbox import Sandbox
from mlops_sandbox.jobs import Images, JobContext, serving
from mlops_sandbox.jobs.lifecycle import running

COLLECTION = Path(__file__).resolve().parents[2]
TEMPLATE = COLLECTION / "model-build/{{cookiecutter.project_slug}}"
ACCOUNT = "111111111111"
TEXT = "the invoice for the lift please"

Post = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def archive(container_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """model.tar.gz of a model that the template's own train.py has trained."""
    folder = tmp_path_factory.mktemp("trained")
    script = Path(__file__).with_name("trained_model.py")
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [container_python, script, TEMPLATE, folder], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    with tarfile.open(folder / "model.tar.gz", "w:gz") as packed:
        packed.add(folder / "model", arcname=".")
    return folder / "model.tar.gz"


@pytest.fixture(
    scope="module", params=["handler", pytest.param("multi-model-server", marks=pytest.mark.slow)]
)
def post(
    request: pytest.FixtureRequest,
    archive: Path,
    container_python: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Post]:
    """Sends a request to a server of the model; returns status, content type and body."""
    _skip_unless_it_serves(container_python, request.param)
    folder = tmp_path_factory.mktemp("sandbox")
    with (
        pytest.MonkeyPatch.context() as patch,
        Sandbox(
            folder, Images.single(container_python), accounts=(ACCOUNT,), region="ca-central-1"
        ) as sandbox,
    ):
        patch.setenv(serving.SWITCH, request.param)
        s3 = sandbox.client("s3")
        s3.create_bucket(Bucket="models", CreateBucketConfiguration={"LocationConstraint": "ca-central-1"})
        s3.upload_file(str(archive), "models", "model.tar.gz")
        context = JobContext(
            "job", ACCOUNT, "ca-central-1", folder / "jobs/job", sandbox.images, sandbox.environment(ACCOUNT)
        )
        code = {
            "SAGEMAKER_PROGRAM": "inference.py",
            "SAGEMAKER_SUBMIT_DIRECTORY": "/opt/ml/model/code",
        }
        container = serving.Container("huggingface-pytorch-inference", "s3://models/model.tar.gz", code)
        with running("transform", _transform(), context) as job, serving.serving(job, container) as server:

            def send(
                body: str | bytes, content_type: str, accept: str = "application/json"
            ) -> tuple[int, str, str]:
                data = body.encode() if isinstance(body, str) else body
                # multi-model-server answers /ping before its worker has loaded the model
                answer = server.invoke(data, content_type, accept, timeout=60)
                return answer.status, answer.content_type, answer.body.decode()

            yield send


def _transform() -> dict[str, Any]:
    source = {"S3DataType": "S3Prefix", "S3Uri": "s3://models/in"}
    return {
        "TransformJobName": "job",
        "ModelName": "model",
        "TransformInput": {"DataSource": {"S3DataSource": source}},
        "TransformOutput": {"S3OutputPath": "s3://models/out"},
        "TransformResources": {"InstanceType": "ml.m5.large", "InstanceCount": 1},
    }


def _skip_unless_it_serves(python: Path, kind: str) -> None:
    toolkit = [python, "-c", "import sagemaker_huggingface_inference_toolkit"]
    if subprocess.run(toolkit, capture_output=True).returncode:
        pytest.skip(f"{python}: no sagemaker-huggingface-inference-toolkit there (MLOPS_CONTAINER_PYTHON)")
    if kind == "multi-model-server" and not (shutil.which("java") and python.with_name(kind).is_file()):
        pytest.skip(f"{python}: multi-model-server is not installed there, or Java is not on this machine")


def test_json_is_answered_in_json(post: Post) -> None:
    status, content_type, body = post(json.dumps({"inputs": TEXT}), "application/json")
    assert (status, content_type) == (200, "application/json")
    (best,) = json.loads(body)
    assert best["label"] in ("billing", "elevators") and 1 / 3 < best["score"] <= 1

    parameters = {"top_k": None}
    status, _, body = post(
        json.dumps({"inputs": [TEXT, {"subject": "furnace", "body": None}], "parameters": parameters}),
        "application/json",
    )
    first, second = json.loads(body)
    assert status == 200
    assert first[0] == best and len(first) == 3
    assert second[0]["label"] == "gas"
    assert sum(each["score"] for each in second) == pytest.approx(1)


def test_json_lines_are_answered_in_json_lines(post: Post) -> None:
    lines = '{"inputs": "the furnace"}\n{"subject": "lift", "body": "hello"}\n'
    status, content_type, body = post(lines, "application/jsonlines", "application/jsonlines")
    assert (status, content_type) == (200, "application/jsonlines")
    assert [json.loads(line)[0]["label"] for line in body.splitlines()] == ["gas", "elevators"]


def test_csv_is_answered_in_csv(post: Post) -> None:
    status, content_type, body = post('inputs\n"a furnace, please"\nlift\n', "text/csv", "text/csv")
    assert (status, content_type) == (200, "text/csv")
    assert [line.split(",")[0] for line in body.splitlines()] == ["label", "gas", "elevators"]


@pytest.mark.parametrize(
    ("body", "content_type", "message"),
    [
        ('{"inputs": ["a", "b", 5]}', "application/json", "record 3: expected text, got number 5"),
        ("{oops", "application/json", "the body is not JSON"),
        ('"a"\n{"inputs": null}\n', "application/jsonlines", "record 2: expected text, got null"),
        ("text\na\n", "text/csv", "record 1: expected text, or an object with subject and body"),
        ("a", "text/plain", "content type: expected application/json, application/jsonlines or text/csv"),
    ],
)
def test_a_bad_request_is_answered_with_a_message_that_names_the_record(
    body: str, content_type: str, message: str, post: Post
) -> None:
    status, _, answer = post(body, content_type)
    assert status == 400
    assert message in json.loads(answer)["message"]
