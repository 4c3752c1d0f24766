"""The two models that are asked about the test set: the new one, and the live one.

Each is asked through the ``inference.py`` inside its archive, in a process of its own (ask_model.py): what is
measured is what is served, and its modules do not meet those of this step, which have the same names.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from data import hashes
from evaluation.measure import Predictions
from failure import StepError
from serving.targets import Target, column_names, from_json, probabilities

SCRIPT = Path(__file__).with_name("ask_model.py")

UNRESOLVED = "unresolved"
"""Nobody has looked which version is live: the pipeline was started by hand."""

OLD_TARGET = "label"
"""What the one target of a model is called that was made before targets had names."""


class CannotAsk(Exception):
    """A model gave no answers; the text says why."""


# --- the new model: what train.py has packed


def unpack(model: Path, folder: Path) -> Path:
    """Return the model's folder: ``model`` itself, or ``folder`` after unpacking ``model.tar.gz`` into it.

    Raises:
        StepError: there is neither, the archive is damaged, or files that train.py writes are missing.
    """
    archive = model if model.is_file() else model / "model.tar.gz"
    if archive.is_file():
        try:
            _extract(archive, folder)
        except tarfile.TarError as error:
            raise StepError(f"{archive}: {error}") from None
        model = folder
    needed = ("config.json", "serving.json", "code/inference.py", "code/serving/__init__.py")
    missing = [name for name in needed if not (model / name).is_file()]
    if not missing and (artefact := _artefact(model)) and not (model / artefact).is_file():
        missing = [artefact]
    if missing:
        raise StepError(f"{archive}: expected a model that train.py wrote; it lacks {', '.join(missing)}")
    return model


def _artefact(model: Path) -> str | None:
    """Return the file that is served in the place of the weights (packing/artefact.py)."""
    name: str | None = (_serving(model).get("runtime") or {}).get("artefact")
    return name


def check_image(model: Path, image: str) -> None:
    """Refuse a model that the image it will be registered with cannot load.

    Here and not in training: the trained model is kept, and another choice of image takes it from the cache.

    Raises:
        StepError: with training's reason, and what to do.
    """
    if image != "lean" or _artefact(model) is not None:
        return
    reason = (_serving(model).get("runtime") or {}).get("reason", "it was not asked to")
    raise StepError(
        "not registered: config/model.yaml: serving.image: lean has no PyTorch, and training made no model "
        f"for ONNX Runtime: {reason}. Mend that, or set serving.image to huggingface: this model is then "
        "measured and registered without being trained again"
    )


def check_labels(model: Path, targets: Sequence[Target]) -> None:
    """Refuse a model that was trained for other targets or labels than the test set has.

    Raises:
        StepError: with the labels that only one of them has.
    """
    trained = from_json(_serving(model)["targets"])
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
        truth: of each of the model's targets (data/examples.py: ``Examples``).
        batch_size: texts that go through the model together.
    """
    with tempfile.TemporaryDirectory() as scratch:
        outputs = Path(scratch) / "outputs.npz"
        try:
            told = _answers(model, texts, Path(scratch), outputs, batch_size)
        except CannotAsk as error:
            raise StepError(f"the model gave no answers to the test set: {error}") from None
        with np.load(outputs) as arrays:
            computed = {name: arrays[name] for name in arrays.files}
    entries = _serving(model)["targets"]
    targets = from_json(entries)
    return [
        _predictions(
            target,
            truth[index],
            [each[target.name] for each in told] if len(targets) > 1 else told,
            computed[f"logits{index}"].astype(np.float64),
            computed[f"confidence{index}"].astype(np.float64),
            entries[index],
        )
        for index, target in enumerate(targets)
    ]


def _predictions(
    target: Target,
    true: np.ndarray,
    told: list[Any],
    logits: np.ndarray,
    confidence: np.ndarray,
    entry: Mapping[str, Any],
) -> Predictions:
    """Put one target's answers together: what the client was told, and the outputs behind it.

    Args:
        target: the question.
        true: its labels.
        told: the answer to each text.
        logits: of shape (texts, labels).
        confidence: of each answer, shape (texts,).
        entry: of the target in serving.json.
    """
    ids = {label: index for index, label in enumerate(target.labels)}
    if target.kind == "one":
        predicted = np.asarray([ids[each["label"]] for each in told], dtype=np.int64)
        confidence = np.asarray([each["score"] for each in told], dtype=np.float64)
    else:
        predicted = np.zeros((len(told), len(ids)), dtype=bool)
        for row, each in enumerate(told):
            predicted[row, [ids[label["label"]] for label in each["labels"]]] = True
    temperature, review_below = entry["temperature"], entry["review_below"]
    triage = review_below is not None
    return Predictions(
        target,
        true,
        predicted,
        confidence,
        scores=probabilities(logits, target.kind, temperature),
        uncalibrated=probabilities(logits, target.kind),
        needs_review=np.asarray([each["needs_review"] for each in told], dtype=bool) if triage else None,
        temperature=temperature,
        review_below=dict(review_below) if triage else None,
        precision=entry.get("precision"),
    )


# --- the live model: of this version of the steps or an earlier one


@dataclass(frozen=True)
class LiveModel:
    """What is known about the live model, beside its weights.

    Attributes:
        package: ARN of its model package.
        commit: that it was made from.
        targets: what it answers.
        text: columns and join of the texts that it was trained on.
        answers: for each text, target -> the labels that it answers.
        settings: the part of config/model.yaml that made it; None if it does not carry them.
        data: its data_report.json; None likewise.
        known: whether it was trained on each test text, bool of shape (texts,); None if that cannot be told.
    """

    package: str
    commit: str
    targets: tuple[Target, ...]
    text: Mapping[str, Any]
    answers: list[dict[str, list[str]]]
    settings: dict[str, Any] | None
    data: dict[str, Any] | None
    known: Any

    @property
    def version(self) -> str:
        """Its number in the model package group."""
        return self.package.rsplit("/", 1)[-1]


def ask_live(
    package: str, commit: str, model: Path, settings: Path, report: Path, texts: Sequence[str]
) -> LiveModel:
    """Unpack the live model, ask it every text, and read what there is about it.

    Args:
        package: its ARN.
        commit: that it was made from.
        model: the folder with its model.tar.gz.
        settings: the folder with its settings.json, if there is one.
        report: the folder with its data_report.json, if there is one.
        texts: of the test set.

    Raises:
        CannotAsk: its archive is not there or not of this template, or its code fails.
    """
    with tempfile.TemporaryDirectory() as scratch:
        folder = _unpack(model / "model.tar.gz", Path(scratch) / "model")
        serving = _serving(folder)
        targets = targets_of(serving)
        answers = _answers(folder, texts, Path(scratch))
    fingerprints = hashes.read_fingerprints(report)
    return LiveModel(
        package,
        commit,
        targets,
        serving.get("text", {}),
        [labels_of(answer, targets) for answer in answers],
        read_json(settings / "settings.json"),
        read_json(report / "data_report.json"),
        None if fingerprints is None else hashes.known(texts, fingerprints),
    )


def targets_of(serving: Mapping[str, Any]) -> tuple[Target, ...]:
    """Return the targets of a ``serving.json``, also of one from before targets had names."""
    if "targets" in serving:
        return from_json(serving["targets"])
    return (Target(OLD_TARGET, "one", tuple(serving["labels"])),)


def labels_of(answer: Mapping[str, Any], targets: Sequence[Target]) -> dict[str, list[str]]:
    """Return the labels in an endpoint's answer to one text, target by target."""
    each = {targets[0].name: answer} if len(targets) == 1 else answer
    return {
        name: [best["label"] for best in found["labels"]] if "labels" in found else [found["label"]]
        for name, found in each.items()
    }


def _unpack(archive: Path, folder: Path) -> Path:
    """Unpack a model of this version of the steps or of an earlier one."""
    if not archive.is_file():
        raise CannotAsk("its archive is not in S3 any more")
    try:
        _extract(archive, folder)
    except tarfile.TarError as error:
        raise CannotAsk(f"its archive {error}") from None
    missing = [name for name in ("serving.json", "code/inference.py") if not (folder / name).is_file()]
    if missing:
        raise CannotAsk(f"its archive lacks {', '.join(missing)}: another program made it")
    return folder


# --- both


def _serving(model: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((model / "serving.json").read_text(encoding="utf-8"))
    return content


def _extract(archive: Path, folder: Path) -> None:
    """Unpack an archive.

    Raises:
        TarError: "cannot be unpacked: …".
    """
    try:
        with tarfile.open(archive) as packed:
            packed.extractall(folder, filter="data")
    except (tarfile.TarError, EOFError, OSError) as error:
        raise tarfile.TarError(f"cannot be unpacked: {error}") from None


def _answers(
    model: Path, texts: Sequence[str], scratch: Path, outputs: Path | None = None, batch_size: int = 0
) -> list[Any]:
    """Ask a model every text in a process of its own (ask_model.py); return its answers.

    With ``outputs`` that file gets what the answers were made of, and the model's lines are passed on.

    Raises:
        CannotAsk: its code fails, or answers too few texts.
    """
    source, target = scratch / "texts.jsonl", scratch / "answers.jsonl"
    source.write_text("".join(json.dumps(text) + "\n" for text in texts), encoding="utf-8")
    command = [sys.executable, str(SCRIPT), *map(str, (model, source, target))]
    if outputs is not None:
        command += [str(outputs), str(batch_size)]
    with (
        tempfile.TemporaryFile("w+", errors="replace") as said,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=said, text=True, errors="replace") as run,
    ):
        assert run.stdout is not None
        for line in run.stdout:
            if outputs is not None:  # what a live model says of its answers is nobody's
                print(line, end="", flush=True)
        failed = run.wait()
        said.seek(0)
        errors = said.read()
    if failed:
        if outputs is not None:
            print(errors, file=sys.stderr, flush=True)
        lines = [line for line in errors.splitlines() if line.strip()]
        raise CannotAsk(lines[-1] if lines else f"it ended with exit code {failed}")
    answers = [json.loads(line) for line in target.read_text(encoding="utf-8").splitlines()]
    if len(answers) != len(texts):
        raise CannotAsk(f"it gave {len(answers)} answers to {len(texts)} texts")
    return answers


def read_json(path: Path) -> dict[str, Any] | None:
    """Return a JSON file's content; None if it is not there."""
    if not path.is_file():
        return None
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content
