"""What goes into ``model.tar.gz``: weights, tokenizer, what serving has to know, and the serving code.

Here the finished model is asked about the validation set once more, as serving will ask it: from its scores
come the temperature and the thresholds of triage (evaluation/triage.py), and what is normal for this model
(profile.py).
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from data.examples import LabelSet, read_examples
from evaluation.triage import settle
from failure import StepError
from packing import artefact, profile
from serving import watch
from serving.targets import Rules, Target, as_columns, columns_of, decide, from_columns
from serving.texts import LIBRARY, Redaction, pad
from training.inputs import TokenisedTexts
from training.settings import Settings
from training.trainer import is_plain


def write_model(
    model: Any,
    tokenizer: Any,
    settings: Settings,
    label_set: LabelSet,
    train: TokenisedTexts,
    validation: TokenisedTexts,
    logits: np.ndarray | None = None,
) -> None:
    """Write the model's folder, and its profile also beside the training's report.

    ``logits``: what the model answers to the validation set, if that is known already.
    """
    folder, targets = settings.model_dir, label_set.targets
    folder.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    if logits is None:
        logits = ask(model, validation, tokenizer.pad_token_id or 0, 2 * settings.batch_size)
    truth = from_columns(targets, head_columns(targets, validation.labels))
    runtime = None
    if settings.serving_runtime == "onnx":
        known = artefact.Validation(
            validation,
            _texts(settings.validation, targets),
            settings.max_length,
            settings.truncation,
            targets,
            truth,
            logits,
        )
        choice = artefact.choose(folder, known, tokenizer.pad_token_id or 0, settings.max_accuracy_loss)
        # What follows is settled by the answers of what will be served.
        runtime, logits = choice.runtime, choice.logits
    entries = [
        {**target.as_json(), **settle(target, logits[:, part], each, settings.precision_of(target.name))}
        for target, part, each in zip(targets, columns_of(targets), truth, strict=True)
    ]
    serving = {
        "max_length": settings.max_length,
        "truncation": settings.truncation,
        "text": label_set.text,
        "redact": label_set.redact,
        "targets": entries,
        **({} if runtime is None else {"runtime": runtime}),
    }
    text = json.dumps(serving, indent=2, ensure_ascii=False) + "\n"
    (folder / "serving.json").write_text(text, encoding="utf-8")
    copy_code(folder / "code")
    profile.write(
        profile.make(
            _texts(settings.train, targets),
            _label_counts(targets, head_columns(targets, train.labels)),
            _texts(settings.validation, targets),
            {
                target.name: _answered(Rules(target, part, *_rules(entry)), logits)
                for target, part, entry in zip(targets, columns_of(targets), entries, strict=True)
            },
        ),
        folder,
        settings.output_data_dir,
    )


def copy_code(folder: Path) -> None:
    """Put the serving code into a model: inference.py and all of serving/, in place of what may be there."""
    steps = Path(__file__).parents[1]
    shutil.rmtree(folder / "serving", ignore_errors=True)
    shutil.copytree(steps / "serving", folder / "serving", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copyfile(steps / "inference.py", folder / "inference.py")


def check_library(label_set: LabelSet) -> None:
    """Make sure that what a model needs to find personal data is there, to be packed with its code.

    Raises:
        StepError: it needs the library of serving/texts.py, which is not beside that.
    """
    rules = Redaction.from_json(label_set.redact)
    library = Path(__file__).parents[1] / "serving" / LIBRARY
    if rules is not None and "phones" in rules.kinds and not library.is_file():
        raise StepError(
            f"{library}: not found; the sets were made with data.redact.phones, and the model needs it: "
            "the pipeline puts it there (model_build/assets.py)"
        )


def ask(model: Any, texts: TokenisedTexts, pad_id: int, batch_size: int) -> np.ndarray:
    """Return the model's outputs in float32, of shape (texts, columns), in the order of the texts."""
    model.eval()
    logits = np.empty((len(texts), model.config.num_labels), dtype=np.float32)
    order = np.argsort(texts.lengths, kind="stable")
    with torch.inference_mode():
        for start in range(0, len(order), batch_size):
            rows = order[start : start + batch_size]
            batch = pad([texts[row][0] for row in rows.tolist()], pad_id)
            batch = {name: tensor.to(model.device) for name, tensor in batch.items()}
            logits[rows] = model(**batch).logits.float().cpu().numpy()
    return logits


def head_columns(targets: Sequence[Target], labels: np.ndarray) -> np.ndarray:
    """Return a set's labels as the head's columns, whichever of its two forms they have."""
    return as_columns(targets, [labels]) if is_plain(targets) else labels


def _texts(folder: Path, targets: Sequence[Target]) -> Iterator[str]:
    for examples in read_examples(folder, targets):
        yield from examples.texts


def _label_counts(targets: Sequence[Target], columns: np.ndarray) -> dict[str, dict[str, int]]:
    """Return target -> label -> texts, of kind ``several`` also of those with no label."""
    counts = {}
    for target, part in zip(targets, columns_of(targets), strict=True):
        counts[target.name] = dict(zip(target.labels, columns[:, part].sum(axis=0).tolist(), strict=True))
        if target.kind == "several":
            counts[target.name][watch.NO_LABEL] = int((~columns[:, part].any(axis=1)).sum())
    return counts


def _rules(entry: dict[str, Any]) -> tuple[Any, ...]:
    return entry["temperature"], entry["review_below"], entry["decide_at"]


def _answered(rules: Rules, logits: np.ndarray) -> list[watch.Answered]:
    """Return what the model answers for one target, as inference.py tells it to serving/watch.py."""
    outcome = decide(rules, logits[:, rules.columns])
    review = None if outcome.needs_review is None else outcome.needs_review.tolist()
    target = rules.target
    return watch.answered(outcome.scores, target.labels, target.kind, rules.decide_at, review)
