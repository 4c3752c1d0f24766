"""The model that the serving benchmarks serve, in each form, made once and kept in build/benchmarks/serving.

MiniLM fine-tuned briefly on banking77 (the template's sample emails where ../shared/data is not), by the
template's own preprocess.py and train.py. Its accuracy is not the point, that all forms have the same weights
is: they differ in what lies beside them, as it would in model.tar.gz.
"""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
from pathlib import Path

import machine
import sources
from endpoint import STEPS, base_model

KEPT = machine.ROOT / "build/benchmarks/serving"
DEFAULT, TORCH, FP32, INT8 = "default handler", "ours, torch", "ours, ONNX fp32", "ours, ONNX int8"
BEHIND = "ours, ONNX int8, behind the toolkit"
LEAN = "ours, ONNX int8, lean server"
# the longest text that the default handler takes, so that both read all of each
SETTINGS = {
    "epochs": 2,
    "batch-size": 32,
    "learning-rate": 3e-4,
    "max-length": 512,
    "truncation": "head_tail",
    "precision": "fp32",
}
ARTEFACTS = {FP32: "model.onnx", INT8: "model.int8.onnx"}
BESIDE = ("*.onnx", "code", "serving.json", "*profile.json", "vocabulary*")
"""What the default handler's model has not: ours is made of it and of these."""

EXPORT = """
import sys
from pathlib import Path
steps, model, wheel_folder, work = map(Path, sys.argv[1:])
sys.path.insert(0, str(steps))
import numpy as np
from packing import artefact, onnx_export
from serving import texts as text
found = artefact.find_wheels(wheel_folder)
artefact.unpack(found, work / "library")
artefact.copy_runtime(found["onnxruntime"], work / "library", work / "runtime")
texts = ["Where is my card?", "I ordered a card two weeks ago and it has not arrived. When will it come?"]
tokenizer = text.read_tokenizer(model / "tokenizer.json")
ids = [np.array(each) for each in text.tokenise(tokenizer, texts, 64, "head_tail")]
np.savez(work / "ids.npz", ids=np.concatenate(ids), ends=np.cumsum([len(each) for each in ids]))
sys.path.insert(0, str(work / "library"))
onnx_export.export(model, work / "ids.npz", work)
"""


def versions() -> dict[str, str]:
    """Versions of what serves in the images, as far as it is installed."""
    served = (
        "torch",
        "transformers",
        "tokenizers",
        "multi-model-server",
        "sagemaker-huggingface-inference-toolkit",
    )
    return machine.versions(*served, python=machine.container_python())


def service(side: str) -> dict[str, str]:
    """What a registered ONNX model has in its environment (model_build/requests.py)."""
    return {"MMS_DEFAULT_SERVICE_HANDLER": "serving.mms_service:handle"} if side in ARTEFACTS else {}


def prepare(rows: int) -> tuple[dict[str, Path], list[tuple[str, str]], str]:
    """Train, unless that was done before; returns each form's folder, labelled texts, and their source.

    Args:
        rows: to train on; 0 for all.

    Raises:
        SystemExit: a step failed; its words were shown.
    """
    train, _ = sources.banking("train")
    test, words = sources.banking("test")
    work = KEPT / f"rows-{rows or len(train)}-tokens-{SETTINGS['max-length']}"
    if not (work / "model/serving.json").is_file():
        shutil.rmtree(work, ignore_errors=True)
        (work / "in").mkdir(parents=True)
        _fit(work, train[:: max(1, len(train) // rows)][:rows] if rows else train)
    if not (work / "onnx" / ARTEFACTS[INT8]).is_file():
        _export(work)
    forms = {side: _form(work, side) for side in (DEFAULT, TORCH, FP32, INT8)}
    return {**forms, BEHIND: forms[INT8], LEAN: forms[INT8]}, test, words


def _form(work: Path, side: str) -> Path:
    """Write a form's folder anew: the kept weights, and the serving code as it is now."""
    folder = work / side.replace(", ", "-").replace(" ", "-")
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(work / "model", folder, ignore=shutil.ignore_patterns(*BESIDE))
    if side == DEFAULT:
        return folder
    for path in (work / "model").iterdir():
        if path.is_file() and not (folder / path.name).exists() and path.suffix != ".onnx":
            shutil.copy(path, folder)
    shutil.copytree(STEPS / "serving", folder / "code/serving")
    shutil.copy(STEPS / "inference.py", folder / "code")
    if side in ARTEFACTS:
        shutil.copy(work / "onnx" / ARTEFACTS[side], folder)
        shutil.copytree(work / "onnx/runtime/code/runtime", folder / "code/runtime")
        serving = json.loads((folder / "serving.json").read_text(encoding="utf-8"))
        serving["runtime"] = {"artefact": ARTEFACTS[side], "pad_id": 0}
        (folder / "serving.json").write_text(json.dumps(serving), encoding="utf-8")
    return folder


def _export(work: Path) -> None:
    """Make both ONNX artefacts as the packaging step does, which ships the better one only."""
    shutil.rmtree(work / "onnx", ignore_errors=True)
    (work / "onnx").mkdir()
    python = machine.container_python()
    pins = machine.ROOT / "model-build/{{cookiecutter.project_slug}}/requirements/onnx.txt"
    options = (
        "--no-deps",
        "--require-hashes",
        "--only-binary=:all:",
        "--quiet",
        "--dest",
        str(work / "wheels"),
    )
    _run("its wheels", [str(python), "-m", "pip", "download", *options, "-r", str(pins)])
    places = (STEPS, work / "model", work / "wheels", work / "onnx")
    _run("its ONNX artefacts", [str(python), "-c", EXPORT, *map(str, places)])


def _fit(work: Path, rows: sources.Rows) -> None:
    with (work / "in/texts.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("text", "category"), *rows])
    columns = ("--text-column", "text", "--label-column", "category")
    _step("preprocess.py", "--input", work / "in", "--output", work / "sets", *columns)
    settings = [part for name, value in SETTINGS.items() for part in (f"--{name}", value)]
    places = ("--train", work / "sets/train", "--validation", work / "sets/validation")
    places += ("--model-dir", work / "model", "--checkpoint-dir", work / "checkpoints")
    places += ("--output-data-dir", work / "output", "--base-model", base_model())
    _step("train.py", *places, *settings)
    shutil.rmtree(work / "checkpoints", ignore_errors=True)


def _step(script: str, *arguments: object) -> None:
    _run(script, [str(machine.container_python()), str(STEPS / script), *map(str, arguments)])


def _run(what: str, command: list[str]) -> None:
    print(f"{what}: for the benchmark's model, which is kept in build/benchmarks/serving", flush=True)
    if subprocess.run(command, env={**os.environ, "HF_HUB_OFFLINE": "1"}).returncode:
        raise SystemExit(f"{what} failed: see above")
