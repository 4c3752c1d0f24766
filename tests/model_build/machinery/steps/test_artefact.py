"""What is served: how it is chosen, and that whatever fails leaves a model that PyTorch serves.

The tests of the real thing want the wheels of requirements/onnx.txt: from the folder in ``ONNX_WHEELS``, or
from ``.wheels/``, where they are once this repository has been built with ``serving.runtime: onnx``.
"""

import json
import os
import platform
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import evaluate
import inference
import numpy as np
import pytest
import tiny
from conftest import Train
from failure import StepError
from packing import artefact
from serving import engines
from serving.targets import Target

TEAM = Target("team", "one", ("a", "b"))
TOPICS = Target("topics", "several", ("x", "y"))
HERE = f"cp{sys.version_info.major}{sys.version_info.minor}"
TEXTS = [text for text, _ in tiny.examples(42, seed=2)]

# --- which ----------------------------------------------------------------------------------------


def found(loss: float = 0.0, difference: float = 0.0) -> dict[str, dict[str, float]]:
    """What `compare` says of an artefact that loses accuracy on the second of two targets."""
    same = {"equal": 1.0, "largest_difference": 0.0, "accuracy": 0.5, "accuracy_torch": 0.5}
    return {"team": same, "topics": {**same, "accuracy": 0.5 - loss, "largest_difference": difference}}


@pytest.mark.parametrize(
    ("fp32", "int8", "chosen"),
    [
        (found(), found(), "model.int8.onnx"),
        (found(), found(0.003, 0.2), "model.int8.onnx"),
        (found(), found(-0.1), "model.int8.onnx"),
        (found(), found(0.0031), "model.onnx"),
        (found(), None, "model.onnx"),
        (found(0.0031), found(), None),
        (found(0.0, 0.02), found(), None),
        (None, found(), "model.int8.onnx"),
        (None, found(0.0031), None),
        (None, None, None),
    ],
)
def test_int8_ships_within_the_loss_else_fp32_if_that_is_the_same_model(
    fp32: Any, int8: Any, chosen: str | None
) -> None:
    both = {"model.onnx": fp32, "model.int8.onnx": int8}
    name, reason = artefact.decide({name: each for name, each in both.items() if each}, 0.003)
    assert name == chosen and reason


def test_artefacts_are_compared_target_by_target() -> None:
    truth = [np.array([0, 1, 1, 0]), np.array([[1, 0], [0, 0], [1, 1], [0, 1]], dtype=bool)]
    ours = np.array([[2, 0, 1, -1], [0, 2, -1, -1], [0, 2, 1, 1], [0, 2, -1, 1]], dtype=np.float32)
    theirs = ours.copy()
    theirs[3, :2] = 3, 0  # the team that is right, where PyTorch was not
    theirs[0, 3] = 1  # a topic too many
    compared = artefact.compare([TEAM, TOPICS], truth, ours, theirs)
    assert (compared["team"]["accuracy_torch"], compared["team"]["accuracy"]) == (0.75, 1.0)
    assert (compared["topics"]["accuracy_torch"], compared["topics"]["accuracy"]) == (1.0, 0.75)
    assert compared["team"]["equal"] == compared["topics"]["equal"] == 0.75
    sigmoid = 1 / (1 + np.exp(-1))
    assert compared["topics"]["largest_difference"] == pytest.approx(2 * sigmoid - 1, abs=1e-5)


def test_answers_that_are_no_numbers_are_not_the_same_model() -> None:
    logits = np.zeros((2, 2), dtype=np.float32)
    compared = artefact.compare([TEAM], [np.array([0, 0])], logits, np.full_like(logits, np.nan))
    assert compared["team"]["largest_difference"] == 1.0


# --- where it runs --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tag", "runs"),
    [
        ("cp312-manylinux_2_28_x86_64", True),
        ("cp312-manylinux_2_17_x86_64", True),
        ("cp312-manylinux_2_35_x86_64", True),
        ("cp312-manylinux_2_36_x86_64", False),
        ("cp312-manylinux_3_0_x86_64", False),
        ("cp312-manylinux_2_28_aarch64", False),
        ("cp311-manylinux_2_28_x86_64", False),
        ("cp312-macosx_14_0_x86_64", False),
        ("cp312", False),
    ],
)
def test_a_runtime_is_for_one_python_and_platform(
    tag: str, runs: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Version:
        major, minor = 3, 12

    monkeypatch.setattr(engines.sys, "version_info", Version)
    monkeypatch.setattr(engines.sys, "platform", "linux")
    monkeypatch.setattr(engines.platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(engines.os, "confstr", lambda _: "glibc 2.35", raising=False)
    assert engines.fits(tag) is runs


def test_wheels_of_another_python_are_named(tmp_path: Path) -> None:
    with pytest.raises(StepError, match="expected wheels of onnx, onnxruntime, protobuf, ml-dtypes for"):
        artefact.find_wheels(tmp_path)
    for name in artefact.NEEDED:
        (tmp_path / f"{name.replace('-', '_')}-1.0-py3-none-any.whl").touch()
    assert list(artefact.find_wheels(tmp_path)) == ["ml-dtypes", "onnx", "onnxruntime", "protobuf"]
    (tmp_path / "onnx-1.0-py3-none-any.whl").rename(tmp_path / "onnx-1.0-cp27-cp27m-win32.whl")
    with pytest.raises(StepError, match=r"expected wheels of onnx for .*, got onnx-1.0-cp27-cp27m-win32.whl"):
        artefact.find_wheels(tmp_path)


# --- without what it takes ------------------------------------------------------------------------


def test_without_wheels_the_training_ends_with_a_model_that_pytorch_serves(
    train_in: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = train_in(tmp_path, epochs=1, serving_runtime="onnx")
    said = capsys.readouterr().out
    assert "note: PyTorch will serve, not ONNX Runtime: " in said and "expected wheels of onnx" in said
    runtime = json.loads((model / "serving.json").read_text())["runtime"]
    assert runtime["artefact"] is None and "expected wheels of onnx" in runtime["reason"]
    assert not (model / "code/runtime").exists()
    assert inference.model_fn(str(model)).engine.artefact == "model.safetensors"
    assert capsys.readouterr().out.startswith("serving model.safetensors with PyTorch ")


def test_a_tokenizer_that_reads_otherwise_is_found(trained: Path, tmp_path: Path, sets: Path) -> None:
    from data.examples import LabelSet, read_all
    from training.inputs import TokenisedTexts
    from transformers import AutoTokenizer

    targets = LabelSet.read(sets / "validation").targets
    tokenizer = AutoTokenizer.from_pretrained(trained / "model")
    known = artefact.Validation(
        TokenisedTexts.read(sets / "validation", targets, tokenizer, 32, "head_tail"),
        read_all(sets / "validation", targets).texts,
        32,
        "head_tail",
        targets,
        [],
        np.empty(0),
    )
    path = trained / "model/tokenizer.json"
    artefact.check_tokenizer(path, known)
    other = tmp_path / "tokenizer.json"
    content = json.loads(path.read_text())
    content["model"]["vocab"].update(please=content["model"]["vocab"]["we"], we=5)
    other.write_text(json.dumps(content))
    with pytest.raises(StepError, match="gives other token ids than training used, in row"):
        artefact.check_tokenizer(other, known)
    with pytest.raises(StepError, match="the base model has none"):
        artefact.check_tokenizer(tmp_path / "none.json", known)


# --- the real thing -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def wheel_folder() -> Path:
    """The wheels for this Python."""
    given = os.environ.get("ONNX_WHEELS")
    for folder in [Path(given)] if given else sorted((Path(__file__).parents[2] / ".wheels").glob("*")):
        try:
            artefact.find_wheels(folder)
        except StepError:
            continue
        return folder.resolve()
    pytest.skip("no wheels of requirements/onnx.txt for this Python in ONNX_WHEELS or .wheels/")


@pytest.fixture(scope="module")
def packed(wheel_folder: Path, train_in: Train, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model with an ONNX artefact."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(artefact, "WHEELS", wheel_folder)
        options = {"serving_runtime": "onnx", "max_accuracy_loss": 0.1, "triage_precision": 0.8}
        return train_in(tmp_path_factory.mktemp("onnx"), **options)


def ask_in_a_process(model: Path, *lines: str) -> list[str]:
    """Load and ask the model where nothing else was imported; return the lines that were printed."""
    script = [
        "import json, sys",
        f"sys.path[:0] = [{str(model / 'code')!r}]",
        "import inference",
        f"model = inference.model_fn({str(model)!r})",
        f"body = json.dumps({{'inputs': {TEXTS!r}}})",
        "answer = inference.predict_fn(inference.input_fn(body, 'application/json'), model)",
        "print(inference.output_fn(answer, 'application/json'))",
        *lines,
    ]
    done = subprocess.run([sys.executable, "-c", "\n".join(script)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return [line for line in done.stdout.splitlines() if not line.startswith("mlops-watch ")]


def test_the_artefact_answers_with_neither_torch_nor_transformers(packed: Path) -> None:
    serving = json.loads((packed / "serving.json").read_text())
    assert serving["runtime"]["artefact"] == "model.int8.onnx"
    of_int8 = serving["runtime"]["agreement"]["model.int8.onnx"]["team"]
    assert of_int8["equal"] > 0.9 and of_int8["largest_difference"] < 0.2
    assert serving["runtime"]["agreement"]["model.onnx"]["team"]["largest_difference"] < 1e-4
    assert (packed / "model.safetensors").is_file() and not (packed / "model.onnx").exists()

    foreign = "print(sorted({'torch', 'transformers', 'onnx', 'google'} & set(sys.modules)))"
    said, answers, imported = ask_in_a_process(packed, foreign)
    assert said.startswith("serving model.int8.onnx with ONNX Runtime 1.")
    assert imported == "[]"
    labels = [each["label"] for each in json.loads(answers)]
    right = [label for _, label in tiny.examples(42, seed=2)]
    assert sum(map(str.__eq__, labels, right)) / 42 > 0.9


def test_the_runtime_brings_only_what_serves(packed: Path) -> None:
    (place,) = (packed / "code/runtime").iterdir()
    assert place.name.startswith(f"{HERE}-") and engines.fits(place.name)
    names = {path.name for path in (place / "onnxruntime").iterdir()}
    assert names == {"__init__.py", "capi", "LICENSE", "ThirdPartyNotices.txt"}
    assert not list(place.glob("onnxruntime/capi/libonnxruntime.so.*"))


def test_triage_and_profile_are_those_of_the_artefact(packed: Path, sets: Path) -> None:
    from data.examples import LabelSet, read_all

    targets = LabelSet.read(sets / "validation").targets
    texts = read_all(sets / "validation", targets).texts
    body = json.dumps({"inputs": texts, "parameters": {"batch_size": 32}})
    classifier = inference.load(packed, prefer_gpu=False)
    (outcome,) = inference.answer_to(inference.input_fn(body, "application/json"), classifier).outcomes
    profile = json.loads((packed / "profile.json").read_text())["targets"]["team"]["validation"]
    assert profile["confidence"]["mean"] == pytest.approx(outcome.confidence.mean(), abs=1e-4)
    assert profile["review_share"] == pytest.approx(outcome.needs_review.mean(), abs=1e-4)


def test_the_evaluation_asks_the_artefact(
    packed: Path, sets: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = ["--model", str(packed), "--test", str(sets / "test"), "--output", str(tmp_path)]
    assert evaluate.main(paths) == 0
    said = capsys.readouterr().out
    assert "serving model.int8.onnx with ONNX Runtime" in said and "is not what is measured" not in said


def test_the_order_is_kept_whatever_the_batch_size(packed: Path) -> None:
    classifier = inference.load(packed)

    def scores(size: int) -> np.ndarray:
        body = json.dumps({"inputs": TEXTS, "parameters": {"batch_size": size, "top_k": None}})
        answer = inference.answer_to(inference.input_fn(body, "application/json"), classifier)
        found: np.ndarray = answer.outcomes[0].scores
        return found

    # In int8 a text's scores depend a little on those that share its batch.
    assert np.abs(scores(1) - scores(7)).max() < 0.1
    assert np.abs(scores(1) - scores(64)).max() < 0.1


@pytest.mark.parametrize("fault", ["another Python", "no runtime", "damaged", "gone"])
def test_what_cannot_run_here_is_answered_by_pytorch_with_one_line_that_says_why(
    fault: str, packed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = tmp_path / "model"
    shutil.copytree(packed, model, ignore=shutil.ignore_patterns("runtime"))
    (place,) = (packed / "code/runtime").iterdir()
    (model / "code/runtime").mkdir()
    if fault != "no runtime":
        name = place.name if fault != "another Python" else place.name.replace(HERE, "cp27")
        (model / "code/runtime" / name).symlink_to(place)
    if fault == "damaged":
        (model / "model.int8.onnx").write_bytes(b"not a graph")
    if fault == "gone":
        (model / "model.int8.onnx").unlink()
    classifier = inference.load(model)
    (line,) = capsys.readouterr().out.splitlines()
    why = {
        "another Python": f"this is Python {platform.python_version()} on {sys.platform} ",
        "no runtime": "and code/runtime has nothing",
        "damaged": "INVALID_PROTOBUF",
        "gone": "model.int8.onnx is not in the model",
    }[fault]
    assert line.startswith("serving model.safetensors with PyTorch ")
    assert ", not model.int8.onnx: " in line and why in line
    body = json.dumps({"inputs": "the furnace"})
    answer = inference.answer_to(inference.input_fn(body, "application/json"), classifier)
    assert json.loads(inference.output_fn(answer, "application/json"))[0]["label"] == "gas"


def test_an_export_that_fails_is_a_line_of_the_log(
    wheel_folder: Path,
    train_in: Train,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = tmp_path / "wheels"
    folder.mkdir()
    for wheel in wheel_folder.glob("*.whl"):
        if not wheel.name.startswith("onnx-"):
            (folder / wheel.name).symlink_to(wheel)
    with zipfile.ZipFile(folder / "onnx-1.0-py3-none-any.whl", "w") as broken:
        broken.writestr("onnx/__init__.py", "raise ImportError('broken')")
    monkeypatch.setattr(artefact, "WHEELS", folder)
    model = train_in(tmp_path, epochs=1, serving_runtime="onnx")
    said = capsys.readouterr().out
    (note,) = (line for line in said.splitlines() if line.startswith("note: PyTorch will serve"))
    assert "export ended with 1: " in note
    assert not list(model.glob("*.onnx")) and not (model / "code/runtime").exists()
