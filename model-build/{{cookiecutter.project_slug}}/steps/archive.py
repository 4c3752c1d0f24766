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

from failure import StepError

ROWS_IN_A_REQUEST = 4096
SERVED = ("inference", "texts")
"""The modules in a model's ``code`` folder."""


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
    needed = ("config.json", "serving.json", *(f"code/{name}.py" for name in SERVED))
    missing = [name for name in needed if not (model / name).is_file()]
    if missing:
        raise StepError(f"{archive}: expected a model that train.py wrote; it lacks {', '.join(missing)}")
    return model


def check_labels(model: Path, labels: Sequence[str]) -> None:
    """Refuse a model that was trained for other labels than the test set has.

    Raises:
        StepError: with the labels that only one of them has.
    """
    trained = json.loads((model / "serving.json").read_text(encoding="utf-8"))["labels"]
    if trained != labels:
        different = sorted(set(trained).symmetric_difference(labels))[:10] or "their order differs"
        raise StepError(f"the model was trained for other labels than the test set has: {different}")


def predict(
    model: Path, texts: Sequence[str], labels: Sequence[str], batch_size: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the id of each text's best class, int64, and its probability, float64, of shape (texts,)."""
    handler = load_handler(model / "code")
    classifier = handler.model_fn(str(model))
    ids = {label: index for index, label in enumerate(labels)}
    best: list[dict[str, Any]] = []
    for start in range(0, len(texts), ROWS_IN_A_REQUEST):
        inputs = texts[start : start + ROWS_IN_A_REQUEST]
        body = json.dumps({"inputs": inputs, "parameters": {"top_k": 1, "batch_size": batch_size}})
        answer = handler.predict_fn(handler.input_fn(body, "application/json"), classifier)
        best += [record[0] for record in answer.records]
        print(f"  {len(best)} of {len(texts)} texts", flush=True)
    found = np.asarray([ids[each["label"]] for each in best], dtype=np.int64)
    return found, np.asarray([each["score"] for each in best], dtype=np.float64)


def load_handler(code: Path) -> ModuleType:
    """Import ``inference.py`` of a model together with the ``texts.py`` beside it.

    This folder has modules of the same names, perhaps of another version; they are set aside meanwhile.
    """
    own = {name: sys.modules.pop(name) for name in SERVED if name in sys.modules}
    sys.path.insert(0, str(code))
    try:
        return importlib.import_module("inference")
    finally:
        sys.path.remove(str(code))
        for name in SERVED:
            sys.modules.pop(name, None)
        sys.modules.update(own)
