"""A model as train.py packed it: unpacked, and asked through the ``inference.py`` inside it."""

from __future__ import annotations

import importlib
import json
import sys
import tarfile
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from answers import probabilities
from failure import StepError
from predictions import Predictions
from serving_code import MODULES
from targets import Target, column_names, from_json

ROWS_IN_A_REQUEST = 4096


def unpack(model: Path, folder: Path) -> Path:
    """Return the model's folder: ``model`` itself, or ``folder`` after unpacking ``model.tar.gz`` into it.

    Raises:
        StepError: there is neither, the archive is damaged, or files that train.py writes are missing.
    """
    archive = model if model.is_file() else model / "model.tar.gz"
    if archive.is_file():
        try:
            with tarfile.open(archive) as packed:
                packed.extractall(folder, filter="data")
        except (tarfile.TarError, EOFError, OSError) as error:
            raise StepError(f"{archive}: cannot be unpacked: {error}") from None
        model = folder
    needed = ("config.json", "serving.json", *(f"code/{name}.py" for name in MODULES))
    missing = [name for name in needed if not (model / name).is_file()]
    if not missing and (artefact := _artefact(model)) and not (model / artefact).is_file():
        missing = [artefact]
    if missing:
        raise StepError(f"{archive}: expected a model that train.py wrote; it lacks {', '.join(missing)}")
    return model


def _artefact(model: Path) -> str | None:
    """Return the file that is served in the place of the weights (artefact.py)."""
    serving = json.loads((model / "serving.json").read_text(encoding="utf-8"))
    name: str | None = (serving.get("runtime") or {}).get("artefact")
    return name


def check_image(model: Path, image: str) -> None:
    """Refuse a model that the image it will be registered with cannot load.

    Here and not in training: the trained model is kept, and another choice of image takes it from the cache.

    Raises:
        StepError: with training's reason, and what to do.
    """
    if image != "lean" or _artefact(model) is not None:
        return
    serving = json.loads((model / "serving.json").read_text(encoding="utf-8"))
    reason = (serving.get("runtime") or {}).get("reason", "it was not asked to")
    raise StepError(
        "not registered: config/model.yaml: serving.image: lean has no PyTorch, and training made no model "
        f"for ONNX Runtime: {reason}. Mend that, or set serving.image to huggingface: this model is then "
        "measured and registered without being trained again"
    )


def targets_of(model: Path) -> tuple[Target, ...]:
    """Return what a model answers."""
    return from_json(json.loads((model / "serving.json").read_text(encoding="utf-8"))["targets"])


def check_labels(model: Path, targets: Sequence[Target]) -> None:
    """Refuse a model that was trained for other targets or labels than the test set has.

    Raises:
        StepError: with the labels that only one of them has.
    """
    trained = targets_of(model)
    if trained != tuple(targets):
        ours, theirs = column_names(targets), column_names(trained)
        different = (
            sorted(set(ours).symmetric_difference(theirs))[:10] or "their order, or a target's name, differs"
        )
        raise StepError(f"the model was trained for other labels than the test set has: {different}")


def predict(
    model: Path, texts: Sequence[str], truth: Sequence[np.ndarray], batch_size: int
) -> list[Predictions]:
    """Ask the model about every text; return each target's answers.

    Labels and needs_review are read from the JSON that a client would get: what is measured is what is
    served.

    Args:
        model: its folder.
        texts: of the test set.
        truth: of each of the model's targets (batches.py: ``Examples``).
        batch_size: texts that go through the model together.
    """
    handler = load_handler(model / "code")
    # Not with a GPU that may be here: endpoints have none, and ask what training packed for them.
    classifier = handler.load(model, prefer_gpu=False)
    if (artefact := _artefact(model)) and classifier.engine.artefact != artefact:
        print(f"note: {artefact} will be served, and is not what is measured here", flush=True)
    serving = json.loads((model / "serving.json").read_text(encoding="utf-8"))
    targets = from_json(serving["targets"])
    told: list[Any] = []
    parts: list[list[Any]] = []
    for start in range(0, len(texts), ROWS_IN_A_REQUEST):
        inputs = texts[start : start + ROWS_IN_A_REQUEST]
        body = json.dumps({"inputs": inputs, "parameters": {"batch_size": batch_size}})
        answer = handler.answer_to(handler.input_fn(body, "application/json"), classifier)
        told += json.loads(handler.output_fn(answer, "application/json"))
        parts.append(answer.outcomes)
        print(f"  {len(told)} of {len(texts)} texts", flush=True)
    return [
        _predictions(
            target,
            truth[index],
            [each[target.name] for each in told] if len(targets) > 1 else told,
            [part[index] for part in parts],
            serving["targets"][index].get("precision"),
        )
        for index, target in enumerate(targets)
    ]


def _predictions(
    target: Target, true: np.ndarray, told: list[Any], outcomes: list[Any], precision: float | None
) -> Predictions:
    """Put one target's answers together: what the client was told, and the outcomes behind it."""
    ids = {label: index for index, label in enumerate(target.labels)}
    confidence: np.ndarray
    if target.kind == "one":
        predicted = np.asarray([ids[each["label"]] for each in told], dtype=np.int64)
        confidence = np.asarray([each["score"] for each in told], dtype=np.float64)
    else:
        predicted = np.zeros((len(told), len(ids)), dtype=bool)
        for row, each in enumerate(told):
            predicted[row, [ids[label["label"]] for label in each["labels"]]] = True
        confidence = np.concatenate([each.confidence for each in outcomes]).astype(np.float64)
    logits = np.concatenate([each.logits for each in outcomes]).astype(np.float64)
    rules = outcomes[0].rules
    triage = rules.review_below is not None
    return Predictions(
        target,
        true,
        predicted,
        confidence,
        scores=probabilities(logits, target.kind, rules.temperature),
        uncalibrated=probabilities(logits, target.kind),
        needs_review=np.asarray([each["needs_review"] for each in told], dtype=bool) if triage else None,
        temperature=rules.temperature,
        review_below=dict(rules.review_below) if triage else None,
        precision=precision,
    )


def load_handler(code: Path) -> ModuleType:
    """Import ``inference.py`` of a model together with the modules beside it.

    This folder has modules of the same names, perhaps of another version; they are set aside meanwhile.
    """
    names = {path.stem for path in code.glob("*.py")}
    own = {name: sys.modules.pop(name) for name in names if name in sys.modules}
    sys.path.insert(0, str(code))
    try:
        return importlib.import_module("inference")
    finally:
        sys.path.remove(str(code))
        for name in names:
            sys.modules.pop(name, None)
        sys.modules.update(own)
