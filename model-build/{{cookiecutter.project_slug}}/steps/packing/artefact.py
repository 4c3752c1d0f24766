"""Which form of the trained model is served: int8 or fp32 for ONNX Runtime, or PyTorch's weights.

Only with ``--serving-runtime onnx``. ``choose`` makes both ONNX artefacts (onnx_export.py), asks them the
validation set with the runtime that will serve, and compares with what PyTorch answered. int8 ships if it
loses at most ``--max-accuracy-loss`` on every target; else fp32, if its answers are PyTorch's; else nothing
but the weights, which ship in any case. Whatever fails here is a line of the log and a model that PyTorch
serves: hours of training are not lost for it.

The libraries for it, which SageMaker's images lack, are ``wheels/*.whl`` beside train.py. They are unpacked
for the export, not installed: nothing is downloaded or resolved in the job, and the image's own packages stay
as they are.
"""

from __future__ import annotations

import itertools
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from packaging.tags import Tag, sys_tags
from packaging.utils import InvalidWheelFilename, parse_wheel_filename

from failure import StepError
from packing.onnx_export import FP32, INT8
from serving.engines import RUNTIMES
from serving.targets import Target, columns_of, probabilities
from serving.targets import choose as choose_labels
from serving.texts import read_tokenizer, tokenise
from training.inputs import TokenisedTexts
from training.machine import say

STEPS = Path(__file__).parents[1]

SAME = 0.01
"""How far a probability of fp32 may be from PyTorch's: rounding is far below, a wrong graph far above."""

MINUTES = 30
"""Until an export is given up."""

WHEELS = STEPS / "wheels"

NEEDED = ("onnx", "onnxruntime", "protobuf", "ml-dtypes")
"""What the export imports; NumPy, packaging, sympy and typing_extensions are in the images, with PyTorch."""

SERVED = ("__init__.py", "capi", "LICENSE", "ThirdPartyNotices.txt")
"""Of ``onnxruntime``: what answering needs. The rest is for making models."""

UNSERVED = ("__pycache__", "libonnxruntime.so.*")
"""Of ``capi``: the library for programs in C, half of the wheel. The Python module has all of it inside."""


@dataclass(frozen=True)
class Choice:
    """What is served.

    Attributes:
        runtime: that part of serving.json; ``artefact`` is None for PyTorch, with the reason.
        logits: what it answers to the validation set.
    """

    runtime: dict[str, Any]
    logits: np.ndarray


@dataclass(frozen=True)
class Validation:
    """The validation set, and what PyTorch answers to it.

    Attributes:
        tokens: the set as training read it.
        texts: of the same rows.
        max_length: of training.
        truncation: likewise.
        targets: of the model.
        truth: of each target (serving/targets.py: ``from_columns``).
        logits: PyTorch's outputs, of shape (texts, columns).
    """

    tokens: TokenisedTexts
    texts: Iterable[str]
    max_length: int
    truncation: str
    targets: Sequence[Target]
    truth: Sequence[np.ndarray]
    logits: np.ndarray


def choose(model: Path, validation: Validation, pad_id: int, most: float) -> Choice:
    """Put the artefact that is to be served into the model's folder, and say what was found.

    Args:
        model: its folder, with weights and tokenizer.
        validation: what the artefacts are compared on.
        pad_id: the token that fills a batch.
        most: how much accuracy int8 may lose.
    """
    for path in (model / FP32, model / INT8):  # of an earlier training
        path.unlink(missing_ok=True)
    shutil.rmtree(model / RUNTIMES, ignore_errors=True)
    try:
        check_tokenizer(model / "tokenizer.json", validation)
        with tempfile.TemporaryDirectory() as scratch:
            return _choose(model, Path(scratch), validation, pad_id, most)
    except Exception as error:  # whatever it is, the weights are there
        reason = str(error) if isinstance(error, (StepError, OSError)) else f"{type(error).__name__}: {error}"
    shutil.rmtree(model / RUNTIMES, ignore_errors=True)
    say(f"note: PyTorch will serve, not ONNX Runtime: {reason}")
    return Choice({"artefact": None, "reason": reason}, validation.logits)


def _choose(model: Path, scratch: Path, validation: Validation, pad_id: int, most: float) -> Choice:
    found = find_wheels()
    library, ids = scratch / "library", scratch / "ids.npz"
    unpack(found, library)
    copy_runtime(found["onnxruntime"], library, model)
    np.savez(ids, ids=validation.tokens.ids, ends=validation.tokens.ends)
    say("making ONNX artefacts:")
    failure = _run("export", model, ids, scratch, path=library)
    answers: dict[str, np.ndarray] = {}
    problems: dict[str, str] = {}
    for name in (FP32, INT8):
        if not (scratch / name).is_file():
            problems[name] = failure
        elif failed := _run("ask", model, ids, scratch / name, scratch / "logits.npy", str(pad_id)):
            problems[name] = failed
        else:
            answers[name] = np.load(scratch / "logits.npy")
    agreement = {
        name: compare(validation.targets, validation.truth, validation.logits, each)
        for name, each in answers.items()
    }
    for name, of_targets in agreement.items():
        for target, figures in of_targets.items():
            say(f"  {name}: {f'{target}: ' if len(of_targets) > 1 else ''}{_told(figures)}")
    for name, problem in problems.items():
        say(f"  {name}: {problem}")
    chosen, reason = decide(agreement, most)
    if chosen is None:
        raise StepError("; ".join([reason, *dict.fromkeys(problems.values())]))
    shutil.copyfile(scratch / chosen, model / chosen)
    say(f"{chosen} will serve: {reason}")
    runtime = {
        "artefact": chosen,
        "pad_id": pad_id,
        "reason": reason,
        "agreement": {"texts": len(validation.tokens), **agreement},
    }
    return Choice(runtime, answers[chosen])


def check_tokenizer(path: Path, validation: Validation) -> None:
    """Make sure that ``tokenizer.json`` without transformers reads a text as training did.

    Raises:
        StepError: it is not there, or gives other ids.
    """
    if not path.is_file():
        raise StepError(f"{path.name}: the base model has none, and serving without transformers needs it")
    tokenizer, row = read_tokenizer(path), 0
    texts = iter(validation.texts)
    while part := list(itertools.islice(texts, 8192)):
        for ids in tokenise(tokenizer, part, validation.max_length, validation.truncation):
            if not np.array_equal(validation.tokens[row][0], ids):
                raise StepError(f"{path.name}: gives other token ids than training used, in row {row + 1}")
            row += 1


def compare(
    targets: Sequence[Target], truth: Sequence[np.ndarray], ours: np.ndarray, theirs: np.ndarray
) -> dict[str, dict[str, float]]:
    """Return for each target how an artefact's answers differ from PyTorch's.

    ``equal``: share of equal answers; ``largest_difference`` of a probability; ``accuracy`` and
    ``accuracy_torch`` against the labels (of kind ``several``: all right).

    Args:
        targets: of the model.
        truth: of each.
        ours: PyTorch's logits, of shape (texts, columns).
        theirs: the artefact's.
    """
    found = {}
    for target, part, labels in zip(targets, columns_of(targets), truth, strict=True):
        scores = [probabilities(each[:, part].astype(np.float64), target.kind) for each in (ours, theirs)]
        first, second = (choose_labels(each, target) for each in scores)
        right = labels if target.kind == "several" else np.eye(len(target.labels), dtype=bool)[labels]
        difference = np.abs(scores[0] - scores[1]).max() if np.isfinite(theirs).all() else np.inf
        found[target.name] = {
            "equal": round(float((first == second).all(axis=1).mean()), 6),
            "largest_difference": round(min(float(difference), 1.0), 6),
            "accuracy": round(float((second == right).all(axis=1).mean()), 6),
            "accuracy_torch": round(float((first == right).all(axis=1).mean()), 6),
        }
    return found


def decide(agreement: dict[str, dict[str, dict[str, float]]], most: float) -> tuple[str | None, str]:
    """Return the artefact to ship, None for PyTorch, and the reason.

    Args:
        agreement: artefact -> target -> what ``compare`` found; without those that could not be asked.
        most: how much accuracy int8 may lose.
    """
    lost = {name: max(map(_loss, each.values())) for name, each in agreement.items()}
    if FP32 in agreement:
        largest = max(each["largest_difference"] for each in agreement[FP32].values())
        if largest > SAME or lost[FP32] > most:
            return None, (
                f"{FP32} is not the same model as PyTorch's: a probability differs by {largest:.4f} "
                f"(at most {SAME:g}), accuracy by {lost[FP32]:.4f}"
            )
    if INT8 in lost and lost[INT8] <= most + 1e-9:
        return INT8, f"int8 loses {max(0.0, lost[INT8]):.4f} of accuracy, at most {most:g} may be lost"
    if FP32 not in lost:
        return None, "no ONNX artefact answers as PyTorch does"
    if INT8 in lost:
        return FP32, f"int8 loses {lost[INT8]:.4f} of accuracy, at most {most:g} may be lost"
    return FP32, "int8 could not be made"


def _loss(figures: dict[str, float]) -> float:
    return figures["accuracy_torch"] - figures["accuracy"]


def _told(figures: dict[str, float]) -> str:
    return (
        f"{figures['equal']:.2%} of the answers as PyTorch's, probabilities within "
        f"{figures['largest_difference']:.4f}, accuracy {figures['accuracy']:.4f} "
        f"(PyTorch {figures['accuracy_torch']:.4f})"
    )


def _run(*arguments: str | Path, path: Path | None = None) -> str:
    """Run a command of onnx_export.py; return what went wrong, an empty text if nothing did."""
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "PYTHONWARNINGS": "ignore"}
    environment.update(HF_HUB_OFFLINE="1", TRANSFORMERS_VERBOSITY="error")
    places = [str(STEPS), *([] if path is None else [str(path)]), os.environ.get("PYTHONPATH", "")]
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, places))
    try:
        done = subprocess.run(
            [sys.executable, "-B", "-P", "-m", "packing.onnx_export", *map(str, arguments)],
            env=environment,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=60 * MINUTES,
        )
    except subprocess.TimeoutExpired:
        return f"{arguments[0]} was given up after {MINUTES} minutes"
    if printed := [line for line in done.stdout.splitlines() if line.startswith("  ")]:
        say("\n".join(printed))
    if done.returncode == 0:
        return ""
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    return f"{arguments[0]} ended with {done.returncode}: {lines[-1] if lines else 'nothing said'}"


def find_wheels(folder: Path | None = None) -> dict[str, Path]:
    """Return the wheels of ``NEEDED``, by name.

    Raises:
        StepError: one is missing, or is for another Python or platform.
    """
    folder = folder or WHEELS
    here = set(sys_tags())
    found: dict[str, Path] = {}
    other: dict[str, Path] = {}
    for path in sorted(folder.glob("*.whl")):
        try:
            name, _, _, tags = parse_wheel_filename(path.name)
        except InvalidWheelFilename:
            continue
        (found if here & tags else other)[str(name)] = path
    if missing := [name for name in NEEDED if name not in found]:
        what = f"Python {platform.python_version()} on {sys.platform} {platform.machine()}"
        there = [other[name].name for name in missing if name in other] or ["none"]
        raise StepError(
            f"{folder}: expected wheels of {', '.join(missing)} for {what}, got {', '.join(there)}"
        )
    return found


def unpack(wheels: dict[str, Path], folder: Path) -> None:
    """Unpack the wheels into a folder that can be on Python's path.

    Raises:
        StepError: one is damaged.
    """
    for path in wheels.values():
        try:
            with zipfile.ZipFile(path) as archive:
                archive.extractall(folder)
        except (zipfile.BadZipFile, OSError) as error:
            raise StepError(f"{path}: cannot be unpacked: {error}") from None


def copy_runtime(wheel: Path, unpacked: Path, model: Path) -> Path:
    """Copy what serving needs of ONNX Runtime into a model; return its folder.

    Args:
        wheel: of onnxruntime, whose name tells for which Python and platform it is.
        unpacked: what is in it.
        model: the model's folder.
    """
    tags = parse_wheel_filename(wheel.name)[3]
    tag = min(tags, key=_order)
    place = model / RUNTIMES / f"{tag.interpreter}-{tag.platform}"
    shutil.rmtree(place, ignore_errors=True)
    (place / "onnxruntime").mkdir(parents=True)
    for name in SERVED:
        source = unpacked / "onnxruntime" / name
        if source.is_dir():
            shutil.copytree(source, place / "onnxruntime" / name, ignore=shutil.ignore_patterns(*UNSERVED))
        elif source.is_file():
            shutil.copyfile(source, place / "onnxruntime" / name)
    return place


def _order(tag: Tag) -> tuple[bool, str]:
    """Put the tags that say a version of glibc (``manylinux_2_28_…``) before those that do not."""
    return not tag.platform.startswith("manylinux_"), tag.platform
