"""The model that is live while a new one is measured: what it is, and what it answers to the same texts."""

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

import fingerprints
from targets import Target, from_json

UNRESOLVED = "unresolved"
"""Nobody has looked which version is live: the pipeline was started by hand."""

OLD_TARGET = "label"
"""What the one target of a model is called that was made before targets had names."""


class CannotAsk(Exception):
    """The live model gave no answers; the text says why."""


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


def ask(
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
        serving = json.loads((folder / "serving.json").read_text(encoding="utf-8"))
        targets = targets_of(serving)
        answers = _answers(folder, texts, Path(scratch))
    hashes = fingerprints.read(report)
    return LiveModel(
        package,
        commit,
        targets,
        serving.get("text", {}),
        [labels_of(answer, targets) for answer in answers],
        read_json(settings / "settings.json"),
        read_json(report / "data_report.json"),
        None if hashes is None else fingerprints.known(texts, hashes),
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
        with tarfile.open(archive) as packed:
            packed.extractall(folder, filter="data")
    except (tarfile.TarError, EOFError, OSError) as error:
        raise CannotAsk(f"its archive cannot be unpacked: {error}") from None
    missing = [name for name in ("serving.json", "code/inference.py") if not (folder / name).is_file()]
    if missing:
        raise CannotAsk(f"its archive lacks {', '.join(missing)}: another program made it")
    return folder


def _answers(model: Path, texts: Sequence[str], scratch: Path) -> list[dict[str, Any]]:
    source, target = scratch / "texts.jsonl", scratch / "answers.jsonl"
    source.write_text("".join(json.dumps(text) + "\n" for text in texts), encoding="utf-8")
    script = Path(__file__).with_name("ask_model.py")
    run = subprocess.run(
        [sys.executable, str(script), str(model), str(source), str(target)],
        stdout=subprocess.DEVNULL,  # a model counts its answers there; these are nobody's
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
    )
    if run.returncode:
        lines = [line for line in run.stderr.splitlines() if line.strip()]
        raise CannotAsk(lines[-1] if lines else f"it ended with exit code {run.returncode}")
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
