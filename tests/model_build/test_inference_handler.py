"""inference.py behind the real handler of SageMaker's Hugging Face images, over HTTP.

And behind serving/mms_service.py, which takes the handler's place for an ONNX model, and in the lean image's
server: all three give the same answers.
"""

import http.client
import json
import os
import subprocess
import tarfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import multi_model_server
import pytest

from mlops_workbench.sandbox import Sandbox
from mlops_workbench.sandbox.containers.context import JobContext
from mlops_workbench.sandbox.images import Images
from mlops_workbench.sandbox.services.sagemaker import serving
from mlops_workbench.sandbox.services.sagemaker.jobs.running import running
from tests.model_build.conftest import with_machinery

COLLECTION = Path(__file__).resolve().parents[2]
TEMPLATE = COLLECTION / "model-build/{{cookiecutter.project_slug}}"
ACCOUNT = "111111111111"
TEXT = "the invoice for the lift please"

SERVICE = {"MMS_DEFAULT_SERVICE_HANDLER": "serving.mms_service:handle"}

Post = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def trained(container_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with model.tar.gz and several/model.tar.gz, which the template's own train.py has trained."""
    folder = tmp_path_factory.mktemp("trained")
    _train(container_python, folder)
    return folder


@pytest.fixture(scope="module")
def sandbox(container_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """An account with a bucket for models."""
    folder = tmp_path_factory.mktemp("sandbox")
    images = Images.single(container_python)
    with Sandbox(folder, images, accounts=(ACCOUNT,), region="ca-central-1") as running_sandbox:
        where = {"LocationConstraint": "ca-central-1"}
        running_sandbox.client("s3").create_bucket(Bucket="models", CreateBucketConfiguration=where)
        yield running_sandbox


@pytest.fixture(
    scope="module",
    params=[
        ("sandbox", {}),
        ("sandbox", SERVICE),
        pytest.param(("image", {}), marks=pytest.mark.slow),
        pytest.param(("image", SERVICE), marks=pytest.mark.slow),
    ],
    ids=["handler", "service", "multi-model-server", "multi-model-server-service"],
)
def post(
    request: pytest.FixtureRequest, trained: Path, container_python: Path, sandbox: Sandbox
) -> Iterator[Post]:
    """Sends a request to a server of the model; returns status, content type and body.

    The sandbox's server, and the one of SageMaker's images, which is Java's.
    """
    _skip_unless_it_serves(container_python)
    server, variables = request.param
    if server == "sandbox":
        with _server(sandbox, f"one{len(variables)}", trained / "model.tar.gz", variables) as (send, _):
            yield send
        return
    if reason := multi_model_server.missing(container_python):
        pytest.skip(reason)
    model = trained / "model"
    code = {"SAGEMAKER_PROGRAM": "inference.py", "SAGEMAKER_SUBMIT_DIRECTORY": str(model / "code")}
    with multi_model_server.serving(container_python, model, {**code, **variables}) as port:

        def ask(
            body: str | bytes, content_type: str, accept: str = "application/json"
        ) -> tuple[int, str, str]:
            data = body.encode() if isinstance(body, str) else body
            status, found, answer = multi_model_server.ask(
                port, "POST", "/invocations", data, Content_Type=content_type, Accept=accept
            )
            return status, found, answer.decode()

        yield ask


@pytest.fixture(scope="module")
def several(trained: Path, container_python: Path, sandbox: Sandbox) -> Iterator[tuple[Post, Path]]:
    """Likewise for the model with two targets; and the folder in which its server runs."""
    _skip_unless_it_serves(container_python)
    with _server(sandbox, "several", trained / "several/model.tar.gz", {}) as found:
        yield found


@pytest.fixture(scope="module")
def lean(trained: Path, container_python: Path) -> Iterator[Post]:
    """Sends a request to the lean image's server (serving_image/server.py) of the same model."""
    command = [container_python, TEMPLATE / "serving_image/server.py", "serve", "--host", "127.0.0.1"]
    variables = {"SAGEMAKER_BASE_DIR": str(trained), "SAGEMAKER_BIND_TO_PORT": "0"}
    with subprocess.Popen(
        command, env={**os.environ, **variables}, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        port = int(process.stdout.readline().removeprefix("listening on port "))

        def send(
            body: str | bytes, content_type: str, accept: str = "application/json"
        ) -> tuple[int, str, str]:
            data = body.encode() if isinstance(body, str) else body
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
            connection.request("POST", "/invocations", data, {"Content-Type": content_type, "Accept": accept})
            answer = connection.getresponse()
            return answer.status, answer.headers["Content-Type"], answer.read().decode()

        try:
            yield send
        finally:
            process.terminate()


@pytest.fixture(scope="module")
def wheels(container_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheels of requirements/onnx.txt for the container's Python."""
    folder = tmp_path_factory.mktemp("wheels")
    options = ["--quiet", "--no-deps", "--only-binary=:all:", "--require-hashes", "--dest", str(folder)]
    pins = str(TEMPLATE / "requirements/onnx.txt")
    done = subprocess.run(
        [container_python, "-m", "pip", "download", *options, "-r", pins], capture_output=True, text=True
    )
    if done.returncode:
        pytest.skip(f"the wheels for ONNX Runtime cannot be had here: {done.stderr.strip()[-200:]}")
    return folder


@pytest.fixture(scope="module")
def onnx(
    wheels: Path, container_python: Path, sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Post, Path]]:
    """Likewise for the model with two targets as ONNX Runtime serves it."""
    _skip_unless_it_serves(container_python)
    folder = tmp_path_factory.mktemp("onnx")
    _train(container_python, folder, wheels)
    with _server(sandbox, "onnx", folder / "several/model.tar.gz", SERVICE) as found:
        yield found


def _train(python: Path, folder: Path, *wheels: Path) -> None:
    """Train and pack both models of trained_model.py."""
    script = Path(__file__).with_name("trained_model.py")
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    command = [python, script, TEMPLATE, folder, *wheels]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for model in (folder, folder / "several"):
        with tarfile.open(model / "model.tar.gz", "w:gz", compresslevel=1) as packed:
            packed.add(model / "model", arcname=".")


@contextmanager
def _server(
    sandbox: Sandbox, name: str, archive: Path, variables: Mapping[str, str]
) -> Iterator[tuple[Post, Path]]:
    place = sandbox.folder / "jobs" / name
    sandbox.client("s3").upload_file(str(archive), "models", f"{name}/model.tar.gz")
    context = JobContext(
        place.name, ACCOUNT, "ca-central-1", place, sandbox.images, sandbox.environment(ACCOUNT)
    )
    code = {
        "SAGEMAKER_PROGRAM": "inference.py",
        "SAGEMAKER_SUBMIT_DIRECTORY": "/opt/ml/model/code",
        **variables,
    }
    container = serving.Container("huggingface-pytorch-inference", f"s3://models/{name}/model.tar.gz", code)
    with running("transform", _transform(), context) as job, serving.serving(job, container) as server:

        def send(
            body: str | bytes, content_type: str, accept: str = "application/json"
        ) -> tuple[int, str, str]:
            data = body.encode() if isinstance(body, str) else body
            answer = server.invoke(data, content_type, accept, timeout=60)
            return answer.status, answer.content_type, answer.body.decode()

        yield send, place


def _transform() -> dict[str, Any]:
    source = {"S3DataType": "S3Prefix", "S3Uri": "s3://models/in"}
    return {
        "TransformJobName": "job",
        "ModelName": "model",
        "TransformInput": {"DataSource": {"S3DataSource": source}},
        "TransformOutput": {"S3OutputPath": "s3://models/out"},
        "TransformResources": {"InstanceType": "ml.m5.large", "InstanceCount": 1},
    }


def _skip_unless_it_serves(python: Path) -> None:
    toolkit = [python, "-c", "import sagemaker_huggingface_inference_toolkit"]
    if subprocess.run(toolkit, capture_output=True).returncode:
        pytest.skip(f"{python}: no sagemaker-huggingface-inference-toolkit there (MLOPS_CONTAINER_PYTHON)")


def test_multi_model_servers_own_loader_takes_the_service(trained: Path, container_python: Path) -> None:
    _skip_unless_it_serves(container_python)
    model, (handler,) = trained / "model", SERVICE.values()
    script = (
        "import os, sys, mms\n"
        "sys.path.insert(0, os.path.dirname(mms.__file__))\n"  # as its worker has it
        "from mms.model_loader import MmsModelLoader\n"
        f"MmsModelLoader().load('model', {str(model)!r}, {handler!r}, None, 1)\n"
        "print(sys.modules['serving.mms_service'].__file__)\n"
    )
    done = subprocess.run(
        [container_python, "-c", script],
        env={**os.environ, "PYTHONPATH": str(model / "code"), "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    loaded, place = done.stdout.splitlines()
    assert loaded.startswith("serving model.safetensors with PyTorch ")
    assert place == str(model / "code/serving/mms_service.py")


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


@pytest.mark.parametrize("accept", ["application/json", "application/jsonlines", "text/csv", "*/*"])
@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (json.dumps({"inputs": TEXT}), "application/json"),
        (json.dumps({"inputs": [TEXT, "the furnace"], "parameters": {"top_k": 2}}), "application/json"),
        (
            json.dumps({"inputs": "Où est l'ascenseur ?"}, ensure_ascii=False),
            "application/json; charset=utf-8",
        ),
        ('{"inputs": "the furnace"}\n"lift"\n', "application/jsonlines"),
        ('inputs\n"a furnace, please"\nlift\n', "text/csv"),
        (b'{"inputs": "\xff"}', "application/json"),
        (b'{"inputs": "\xff"}', "application/jsonlines"),
        ("{oops", "application/json"),
        ("a", "text/plain"),
    ],
)
def test_the_lean_image_gives_the_answers_of_the_handler(
    body: str | bytes, content_type: str, accept: str, post: Post, lean: Post
) -> None:
    (status, form, answer), (lean_status, lean_form, lean_answer) = (
        send(body, content_type, accept) for send in (post, lean)
    )
    assert (lean_status, lean_form) == (status, form)
    if status == 200:
        assert lean_answer == answer
    else:
        assert json.loads(lean_answer) == json.loads(answer)


# --- several targets ------------------------------------------------------------------------------


def test_a_model_with_several_targets_answers_each_by_its_name(several: tuple[Post, Path]) -> None:
    post, _ = several
    status, _, body = post(json.dumps({"inputs": [TEXT, "hello the furnace"]}), "application/json")
    first, second = json.loads(body)
    assert status == 200
    for said in (first, second):
        assert set(said) == {"team", "topics"}
        assert set(said["team"]) == {"label", "score", "needs_review"}
        assert said["team"]["label"] in ("billing", "elevators", "gas") and 1 / 3 < said["team"]["score"] <= 1
        assert set(said["topics"]) == {"labels", "needs_review"}
        assert all(0.5 <= each["score"] <= 1 for each in said["topics"]["labels"])
    status, _, body = post(json.dumps({"inputs": TEXT}), "application/json")
    assert (status, json.loads(body)) == (200, first)
    lines = json.dumps(TEXT) + "\n" + json.dumps({"inputs": TEXT, "parameters": {"top_k": None}}) + "\n"
    status, content_type, body = post(lines, "application/jsonlines", "application/jsonlines")
    plain, ranked = map(json.loads, body.splitlines())
    assert (status, content_type, plain) == (200, "application/jsonlines", first)
    assert len(ranked["team"]) == 3 and sum(each["score"] for each in ranked["team"]) == pytest.approx(1)
    assert ranked["topics"] == first["topics"]


def test_several_targets_as_csv(several: tuple[Post, Path]) -> None:
    post, _ = several
    status, content_type, body = post("inputs\nthe furnace\nlift\n", "text/csv", "text/csv")
    head = "team_label,team_score,team_needs_review,topics_labels,topics_needs_review"
    assert (status, content_type) == (200, "text/csv")
    assert body.splitlines()[0] == head and len(body.splitlines()) == 3


def test_what_is_answered_is_counted_without_a_text(several: tuple[Post, Path]) -> None:
    post, job = several
    assert post(json.dumps({"inputs": ["a furnace", "secret lift"]}), "application/json")[0] == 200
    printed = "\n".join(
        path.read_text(errors="replace") for path in job.rglob("*") if path.suffix in (".log", ".txt")
    )
    lines = [line for line in printed.splitlines() if "mlops-watch " in line]
    assert lines and "secret" not in printed
    counted = json.loads(lines[-1].split("mlops-watch ", 1)[1])
    assert counted["texts"] == 2 and set(counted["targets"]) == {"team", "topics"}
    assert sum(counted["targets"]["team"]["labels"].values()) == 2


# --- ONNX Runtime ---------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_artefact_answers_behind_the_handler_as_pytorch_does(
    onnx: tuple[Post, Path], several: tuple[Post, Path]
) -> None:
    (post, job), (torch, _) = onnx, several
    body = json.dumps({"inputs": [TEXT, "hello the furnace", "", "[SEP] 👍 " * 500]})
    status, content_type, answer = post(body, "application/json")
    assert (status, content_type) == (200, "application/json")
    theirs = json.loads(torch(body, "application/json")[2])
    for first, second in zip(json.loads(answer), theirs, strict=True):
        assert first["team"]["score"] == pytest.approx(second["team"]["score"], abs=0.1)
    assert post("{oops", "application/json")[0] == 400
    printed = "\n".join(
        path.read_text(errors="replace") for path in job.rglob("*") if path.suffix in (".log", ".txt")
    )
    assert printed.count("serving model.") == 1
    assert "onnx with ONNX Runtime 1." in printed


@pytest.mark.slow
def test_the_steps_pass_their_own_tests_of_the_artefact(
    wheels: Path, container_python: Path, generate: Callable[..., Path], tmp_path: Path
) -> None:
    done = subprocess.run(
        [container_python, "-m", "pytest", "-q", "tests/steps/test_artefact.py"],
        cwd=with_machinery(generate(tmp_path)),
        env={**os.environ, "ONNX_WHEELS": str(wheels)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-4000:]
    assert "skipped" not in done.stdout
