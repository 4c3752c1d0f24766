"""`serving.runtime: onnx`: which wheels the training job gets, from where. pip's index is a folder here."""

import hashlib
import io
import json
import platform
import re
import shutil
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from conftest import ROOT
from model_build import assets, images, wheels
from model_build.check import check
from model_build.config import Settings
from model_build.definition import build, steps_of
from model_build.load import load
from model_build.wheels import Interpreter, Pin

from configuration import UserError

MODEL = "config/model.yaml"
SERVING = re.compile(r"(?m)^serving:.*\n(  .*\n)*")
TRAINING = "account/huggingface-pytorch-training:2.9.0-transformers5.3.0-gpu-py312-cu130-ubuntu22.04"
INFERENCE = "account/huggingface-pytorch-inference:2.6.0-transformers5.5.3-cpu-py312-ubuntu22.04"
BOTH = images.Images(TRAINING, INFERENCE)
OF_IMAGES = Interpreter("3.12", "linux x86_64")
OF_THIS = Interpreter(f"{sys.version_info[0]}.{sys.version_info[1]}", f"{sys.platform} {platform.machine()}")


def wheel(folder: Path, name: str, version: str, tag: str, content: str = "") -> str:
    """Put a wheel into a folder; returns its hash."""
    packed = io.BytesIO()
    about = f"{name}-{version}.dist-info"
    files = {
        f"{name}.py": content,
        f"{about}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{about}/WHEEL": f"Wheel-Version: 1.0\nRoot-Is-Purelib: false\nTag: {tag}\n",
        f"{about}/RECORD": "",
    }
    with zipfile.ZipFile(packed, "w") as archive:
        for file, text in files.items():
            archive.writestr(zipfile.ZipInfo(file), text)
    (folder / f"{name}-{version}-{tag}.whl").write_bytes(packed.getvalue())
    return hashlib.sha256(packed.getvalue()).hexdigest()


@pytest.fixture
def index(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that pip takes packages from, and the pins of two of them in the repository."""
    folder = tmp_path / "index"
    folder.mkdir()
    runtime = {
        python: wheel(folder, "runtime", "1.0", f"cp{python}-cp{python}-manylinux_2_28_x86_64")
        for python in ("311", "312", "313", "314")
    }
    exporter = wheel(folder, "ex_porter", "2.1", "cp310-abi3-manylinux2014_x86_64")
    wheel(folder, "ex_porter", "2.1", "cp312-cp312-win_amd64")
    (repository / "requirements").mkdir()
    lines = [
        "# comment",
        "runtime==1.0 \\",
        *(f"    --hash=sha256:{digest} \\" for digest in runtime.values()),
    ]
    text = "\n".join(lines).rstrip("\\ ") + f"\nEx.Porter==2.1 --hash=sha256:{exporter}\n"
    (repository / wheels.FILE).write_text(text, encoding="utf-8")
    for name, value in {"NO_INDEX": "1", "FIND_LINKS": str(folder), "CONFIG_FILE": "/dev/null"}.items():
        monkeypatch.setenv(f"PIP_{name}", value)
    return folder


@pytest.fixture
def settings(small: Path, edit, index: Path) -> Settings:
    """The settings of a repository with onnx."""
    edit(MODEL, "runtime: torch", "runtime: onnx")
    return load(small)


def packed(settings: Settings, definition: str, uploads: tuple[assets.Asset, ...]) -> list[str]:
    """What the training job's archive holds."""
    train = next(step for step in steps_of(definition) if step["Name"] == "Train")["Arguments"]
    uri = train["HyperParameters"]["sagemaker_submit_directory"]
    (archive,) = (
        asset.files[assets.CODE_ARCHIVE] for asset in uploads if f"{asset.uri}/{assets.CODE_ARCHIVE}" == uri
    )
    assert isinstance(archive, bytes)
    with tarfile.open(fileobj=io.BytesIO(archive)) as opened:
        return opened.getnames()


def test_torch_is_as_if_there_were_no_choice(small):
    """Not a byte of the definition may differ: what was trained would not be taken from the cache."""
    text = (small / MODEL).read_text(encoding="utf-8")
    definitions = []
    for block in ("", "serving: {runtime: torch, max_accuracy_loss: 0.5}\n", SERVING.search(text)[0]):
        (small / MODEL).write_text(SERVING.sub(block, text), encoding="utf-8")
        built = build(load(small), {"GIT_COMMIT": "abc"})
        digest = hashlib.sha256((small / MODEL).read_bytes()).hexdigest()
        definitions.append(built.definition.replace(digest, "-").replace(digest[:16], "-"))
        assert not any("wheels/" in name for name in packed(load(small), built.definition, built.uploads))
    assert definitions[0] == definitions[1] == definitions[2]
    assert "onnx" not in definitions[0] and "serving" not in definitions[0]


def test_the_training_job_gets_the_wheels_of_the_images_python(settings):
    said: list[str] = []
    built = build(settings, {}, say=said.append)
    names = packed(settings, built.definition, built.uploads)
    assert [name for name in names if name.endswith(".whl")] == [
        "wheels/ex_porter-2.1-cp310-abi3-manylinux2014_x86_64.whl",
        "wheels/runtime-1.0-cp312-cp312-manylinux_2_28_x86_64.whl",
    ]
    assert "train.py" in names
    train = next(step for step in steps_of(built.definition) if step["Name"] == "Train")["Arguments"]
    assert train["HyperParameters"]["serving-runtime"] == "onnx"
    assert train["HyperParameters"]["max-accuracy-loss"] == "0.003"
    (asset,) = (each for each in built.uploads if each.name == "settings")
    content = asset.files["settings.json"]
    assert isinstance(content, bytes)  # what the next model's report compares with
    assert json.loads(content)["serving"] == {"runtime": "onnx", "max_accuracy_loss": 0.003}
    # a worker without the toolkit's imports
    register = next(step for step in steps_of(built.definition) if step["Name"] == "Register")["Arguments"]
    (container,) = register["InferenceSpecification"]["Containers"]
    assert container["Environment"]["MMS_DEFAULT_SERVICE_HANDLER"] == "serving.mms_service:handle"
    assert said[0] == "downloading the wheels of requirements/onnx.txt for Python 3.12, linux x86_64"
    assert "2 wheels, " in said[1]


def test_the_other_steps_are_those_of_torch(settings, edit):
    """They neither fetch the wheels nor run again."""
    onnx = build(settings, {}).definition
    edit(MODEL, "runtime: onnx", "runtime: torch")
    torch = build(load(settings.root), {}).definition
    assert steps_of(onnx)[0] == steps_of(torch)[0]
    code = [
        [
            each["S3Input"]["S3Uri"]
            for each in step["Arguments"]["ProcessingInputs"]
            if each["InputName"] == "code"
        ]
        for definition in (onnx, torch)
        for step in steps_of(definition)
        if step["Type"] == "Processing"
    ]
    assert len({uri for uris in code for uri in uris}) == 1


def test_what_is_there_is_not_asked_for_again_and_has_the_same_uri(settings, index):
    first = build(settings, {})
    shutil.rmtree(index)
    for path in (settings.root / ".wheels").rglob("*.whl"):
        path.touch()
    said: list[str] = []
    second = build(settings, {}, say=said.append)
    assert first == second
    assert said == []


def test_a_wheel_that_was_changed_is_replaced(repository, index):
    first = wheels.fetch(repository, OF_IMAGES, print)
    content = {name: path.read_bytes() for name, path in first.items()}
    for path in first.values():
        path.write_bytes(path.read_bytes() + b"more")
    second = wheels.fetch(repository, OF_IMAGES, print)
    assert {name: path.read_bytes() for name, path in second.items()} == content


def test_another_wheel_than_the_pinned_one_is_refused_with_what_to_do(repository, index):
    wheel(index, "runtime", "1.0", "cp312-cp312-manylinux_2_28_x86_64", "import evil")
    message = (
        r"onnx.txt: runtime==1.0: expected a wheel for Python 3.12, linux x86_64 with a hash of the file"
    )
    with pytest.raises(UserError, match=message):
        wheels.fetch(repository, OF_IMAGES, print)
    assert not list((repository / ".wheels").rglob("*.whl"))


def test_a_version_that_the_index_lacks_is_named(repository, index):
    (index / "runtime-1.0-cp312-cp312-manylinux_2_28_x86_64.whl").unlink()
    with pytest.raises(
        UserError, match=r"onnx.txt: runtime==1.0: .* none.* PIP_INDEX_URL=.*`make pins`.*torch"
    ):
        wheels.fetch(repository, OF_IMAGES, print)


def test_an_index_that_does_not_answer_is_told_from_one_that_lacks_a_wheel(repository, index, monkeypatch):
    for name, value in {"RETRIES": "1", "INDEX_URL": "http://127.0.0.1:9/simple", "FIND_LINKS": ""}.items():
        monkeypatch.setenv(f"PIP_{name}", value)
    monkeypatch.delenv("PIP_NO_INDEX")
    message = r"onnx.txt: (runtime==1.0|.*ex-porter==2.1): .* did not answer \(.*refused\); PIP_INDEX_URL="
    with pytest.raises(UserError, match=message):
        wheels.fetch(repository, OF_IMAGES, print)


def test_what_pip_26_says_is_understood():
    wanted = [Pin("onnx", "1.0", frozenset()), Pin("ml-dtypes", "1.0", frozenset())]
    said = (
        "WARNING: Retrying (Retry(total=0, connect=None)) after connection broken by "
        "'NewConnectionError(\"HTTPConnection(host='127.0.0.1', port=9): Failed to establish a new "
        "connection: [Errno 111] Connection refused\")': /simple/ml-dtypes/\n"
        "ERROR: Could not find a version that satisfies the requirement ml-dtypes==1.0 (from versions: "
        "none)\n"
    )
    told = wheels.explained(said, wanted, OF_IMAGES, wheels.FILE)
    assert told.startswith("requirements/onnx.txt: ml-dtypes==1.0: ")
    assert "(Failed to establish a new connection: [Errno 111] Connection refused)" in told


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("onnx==1.0\n", r"onnx==1.0: expected --hash=sha256:… for each wheel, found none; `make pins`"),
        (
            "onnx>=1.0 --hash=sha256:" + "0" * 64,
            r"expected name==version with --hash=sha256:…, got 'onnx>=1.0",
        ),
        ("onnx==1.0 --hash=md5:00", "expected name==version with --hash"),
        ("# nothing\n", "expected packages as name==version with --hash=sha256:…, found none"),
        (None, "found no such file"),
    ],
)
def test_a_pin_that_would_let_anything_in_is_refused(repository, text, message):
    if text is not None:
        (repository / "requirements").mkdir()
        (repository / wheels.FILE).write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=message):
        wheels.read(repository)


def test_the_pins_of_this_repository_are_read_and_written_as_they_are():
    pinned = {pin.name: pin for pin in wheels.read(ROOT)}
    assert {"onnx", "onnxruntime"} <= set(pinned)
    text = (ROOT / wheels.FILE).read_text(encoding="utf-8")
    assert wheels.with_hashes(text, {name: pin.hashes for name, pin in pinned.items()}) == text


def test_pins_are_compared_and_written(repository, index, monkeypatch, capsys):
    monkeypatch.setattr(wheels, "PYTHONS", ("3.12",))
    monkeypatch.setattr(wheels, "PLATFORMS", ("linux x86_64",))
    (repository / wheels.FILE).write_text("# comment\nruntime==1.0\nEx.Porter==2.1\n", encoding="utf-8")
    assert wheels.compare(repository, OF_IMAGES, check=False) == 0
    written = wheels.read(repository)
    other = wheel(index, "runtime", "1.0", "cp312-cp312-manylinux_2_28_x86_64", "another")
    assert wheels.compare(repository, OF_IMAGES, check=True) == 1
    assert f"  + sha256:{other}" in capsys.readouterr().out
    assert wheels.read(repository) == written
    assert (repository / wheels.FILE).read_text(encoding="utf-8").startswith("# comment\nruntime==1.0 \\\n")


def test_a_python_that_no_image_has_may_lack_a_wheel(repository, index, monkeypatch, capsys):
    monkeypatch.setattr(wheels, "PYTHONS", ("3.12", "3.14"))
    monkeypatch.setattr(wheels, "PLATFORMS", ("linux x86_64",))
    (index / "runtime-1.0-cp314-cp314-manylinux_2_28_x86_64.whl").unlink()
    assert wheels.compare(repository, OF_IMAGES, check=False) == 0
    assert (
        "note: requirements/onnx.txt: runtime==1.0: expected a wheel for Python 3.14"
        in capsys.readouterr().out
    )
    with pytest.raises(UserError, match=r"Python 3.14"):
        wheels.compare(repository, Interpreter("3.14", "linux x86_64"), check=False)


def test_the_images_python_decides_unless_a_sandbox_runs_the_job():
    """The Makefile always names the stand-in: on AWS it must not matter."""
    named = {images.STAND_IN: sys.executable}
    on_aws = {**named, "AWS_ENDPOINT_URL": "https://vpce-1.sagemaker.aws"}
    here = {**named, "AWS_ENDPOINT_URL": "http://127.0.0.1:4000"}
    assert (
        images.interpreter_of_the_job(BOTH, named) == images.interpreter_of_the_job(BOTH, on_aws) == OF_IMAGES
    )
    assert images.interpreter_of_the_job(BOTH, here) == OF_THIS
    assert images.interpreter_of_the_job(BOTH, {}, lambda image: Path(sys.executable)) == OF_THIS
    with pytest.raises(UserError, match="MLOPS_CONTAINER_PYTHON: expected the Python that stands for"):
        images.interpreter_of_the_job(BOTH, {**here, images.STAND_IN: "/not/there"})


def test_a_laptop_that_no_wheels_are_pinned_for_is_told_so_and_goes_on(repository, index):
    said: list[str] = []
    assert wheels.fetch(repository, Interpreter("3.12", "sunos sparc"), said.append) == {}
    assert said == [
        "note: requirements/onnx.txt has no wheels for Python 3.12, sunos sparc, so that PyTorch will serve "
        "the model here"
    ]


def test_a_mac_gets_its_own_wheels(repository, index):
    wheel(index, "runtime", "1.0", "cp312-cp312-macosx_14_0_arm64")
    wheel(index, "ex_porter", "2.1", "cp310-abi3-macosx_10_9_universal2")
    lines = [
        f"{path.name.split('-')[0]}=={path.name.split('-')[1]} --hash=sha256:"
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}"
        for path in sorted(index.glob("*macosx*"))
    ]
    (repository / wheels.FILE).write_text("\n".join(lines), encoding="utf-8")
    found = wheels.fetch(repository, Interpreter("3.12", "darwin arm64"), print)
    assert set(found) == {path.name for path in index.glob("*macosx*")}


def test_images_with_different_pythons_are_refused():
    other = images.Images(TRAINING, INFERENCE.replace("py312", "py311"))
    with pytest.raises(UserError, match=r"training:.* has 3.12, .*inference:.* has 3.11. Name images of one"):
        images.interpreter(other)
    with pytest.raises(UserError, match="expected a tag with its Python"):
        images.python_of("account/own-image:7")
    older = images.Images(TRAINING.replace("312", "310"), INFERENCE.replace("312", "310"))
    with pytest.raises(UserError, match=r"onnx needs Python 3.11, .*-py310-.* has 3.10"):
        images.interpreter(older)


def test_check_says_what_serves(settings, edit):
    found = [finding.text for finding in check(settings, None)]
    assert (
        "requirements/onnx.txt: runtime 1.0, ex-porter 2.1 for the images' Python 3.12, linux x86_64" in found
    )
    assert any("served by ONNX Runtime" in text and "0.3 points" in text for text in found)
    (settings.root / wheels.FILE).unlink()
    problem = next(finding for finding in check(settings, None) if finding.good is False)
    assert "requirements/onnx.txt: expected the pinned packages" in problem.text
    edit(MODEL, "runtime: onnx", "runtime: torch")
    assert all(finding.good for finding in check(load(settings.root), None))


def test_a_mistake_is_named_with_its_key(repository, edit):
    edit(MODEL, "runtime: torch", "runtime: tensorrt")
    edit(MODEL, "max_accuracy_loss: 0.003", "max_accuracy_loss: 1")
    with pytest.raises(Exception) as caught:
        load(repository)
    assert str(caught.value).splitlines() == [
        f"{MODEL}: serving.runtime: expected one of 'torch' or 'onnx', got \"tensorrt\"",
        f"{MODEL}: serving.max_accuracy_loss: expected less than 1, got 1",
    ]
