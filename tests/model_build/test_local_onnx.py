"""`make local` with `serving.runtime: onnx`: from the package index to an answer without PyTorch."""

import re
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.model_build.conftest import Run, set_model


@pytest.mark.slow
def test_the_wheels_of_the_index_serve_what_was_trained(
    generate: Callable[..., Path], tiny_model: Path, model_build: Run, tmp_path: Path
) -> None:
    repository = generate(tmp_path)
    bounds = {"accuracy": {"at_least": 0.0}, "expected_calibration_error": {"at_most": 1.0}}
    values = {
        "model.base": str(tiny_model),
        "model.max_length": 32,
        "training.epochs": 1,
        "acceptance": bounds,
    }
    set_model(repository, **values, **{"serving.runtime": "onnx"})
    done = model_build(repository, "local")
    if "package index" in done.stderr:
        pytest.skip(done.stderr.strip()[-500:])
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-3000:]
    assert "downloading the wheels of requirements/onnx.txt for Python 3." in done.stdout
    assert "onnx will serve: " in done.stdout  # training says so
    assert " with ONNX Runtime " in done.stdout  # evaluation asks what will serve
    jobs = repository / ".sandbox/jobs"
    (archive,) = jobs.glob("*-Evaluate-*/algo-1/ml/processing/input/model/model.tar.gz")
    with tarfile.open(archive) as opened:
        names = opened.getnames()
    assert {"model.safetensors", "serving.json", "code/serving/engines.py"} <= set(names)
    runtime = [name.split("/") for name in names if name.startswith("code/runtime/") and name.count("/") > 2]
    assert {parts[3] for parts in runtime} == {"onnxruntime"}

    (repository / "texts.jsonl").write_text('{"subject": "a", "body": "b"}\n', encoding="utf-8")
    answered = model_build(repository, "predict", "texts.jsonl")
    assert answered.returncode == 0, answered.stdout + answered.stderr
    assert "%" in answered.stdout
    log = next(jobs.glob("predict-*/log.txt")).read_text(encoding="utf-8")
    assert "onnx with ONNX Runtime " in log
    again = model_build(repository, "local")
    assert "downloading" not in again.stdout + again.stderr
    assert again.stdout.count("taken from execution") >= 3, again.stdout

    # in the repository's own image, which is built first: the model is measured anew and not trained anew
    set_model(repository, **{"serving.image": "lean"})
    lean = model_build(repository, "local")
    assert lean.returncode == 0, lean.stdout[-6000:] + lean.stderr[-3000:]
    assert "pushed 1" in lean.stdout
    assert 2 <= lean.stdout.count("taken from execution") < again.stdout.count("taken from execution")
    known = set(jobs.glob("predict-*"))
    served = model_build(repository, "predict", "texts.jsonl")
    assert served.returncode == 0, served.stdout + served.stderr
    (job,) = set(jobs.glob("predict-*")) - known
    assert re.search(r"answered \d+ bytes in", (job / "log.txt").read_text(encoding="utf-8"))
