"""Does triage keep what it promises? The share of texts that need no person, and how many of these are right.

The model is TF-IDF with logistic regression, which trains in seconds: triage sees nothing of a model but its
outputs. Each line is the mean of several random divisions into train (70 %), validation (10 %) and test.

    .venv-container/bin/python benchmarks/triage.py

On the template's emails, and on the public survey comments of ../shared/data/nhs-feedback where they are.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

ROOT = Path(__file__).resolve().parent.parent
TEMPLATE = ROOT / "model-build/{{cookiecutter.project_slug}}"
sys.path.insert(0, str(TEMPLATE / "steps"))

from evaluation.scores import calibration  # noqa: E402
from evaluation.triage import settle  # noqa: E402
from serving.targets import Rules, Target, decide  # noqa: E402

COMMENTS = ROOT.parent / "shared/data/nhs-feedback/feedback.csv"
EMAILS = TEMPLATE / "data/emails.csv"
PRECISIONS = (0.8, 0.9, 0.95)


class Sets(NamedTuple):
    """Outputs of a model, of shape (rows, labels), and what is true, for two sets."""

    validation: tuple[np.ndarray, np.ndarray]
    test: tuple[np.ndarray, np.ndarray]


class Found(NamedTuple):
    """What triage does on a test set; the calibration error is without temperature, and with it."""

    accuracy: float
    coverage: float
    precision: float
    uncalibrated: float
    calibrated: float


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--divisions", type=int, default=5)
    options = parser.parse_args()
    print("| data | to validate | declared | all | no person | right of these | calibration error |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for name, texts, labels in data():
        target = Target("label", "one", tuple(sorted(set(labels))))
        truth = np.array([target.labels.index(label) for label in labels])
        divided = [outputs(texts, truth, target, seed) for seed in range(options.divisions)]
        rows = len(divided[0].validation[1])
        for precision in PRECISIONS:
            found = np.array([measure(target, sets, precision) for sets in divided])
            mean = Found(*np.nanmean(found, axis=0))
            print(
                f"| {name} | {rows} | {precision} | {mean.accuracy:.3f} | {mean.coverage:.3f} "
                f"| {mean.precision:.3f} | {mean.uncalibrated:.3f} to {mean.calibrated:.3f} |",
                flush=True,
            )


def data() -> Iterator[tuple[str, list[str], list[str]]]:
    """Yield name, texts and labels of what there is."""
    emails = _rows(EMAILS)
    texts = [f"{row['subject']} {row['body']}" for row in emails]
    yield "emails", texts, [row["service_line"] for row in emails]
    if COMMENTS.is_file():
        comments = _rows(COMMENTS)
        for column in ("sentiment", "category"):
            yield column, [row["text"] for row in comments], [row[column] for row in comments]


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def outputs(texts: list[str], truth: np.ndarray, target: Target, seed: int) -> Sets:
    """Train on 70 % of the texts; return the outputs for the others."""
    order = np.random.default_rng(seed).permutation(len(texts))
    train, validation, test = np.split(order, [int(0.7 * len(order)), int(0.8 * len(order))])
    vectorizer = TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True)
    model = LogisticRegression(C=4, max_iter=300)
    model.fit(vectorizer.fit_transform([texts[row] for row in train]), truth[train])

    def ask(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        logits = np.full((len(rows), len(target.labels)), -20.0)  # of a class that it has not seen
        logits[:, model.classes_] = model.decision_function(
            vectorizer.transform([texts[row] for row in rows])
        )
        return logits, truth[rows]

    return Sets(ask(validation), ask(test))


def measure(target: Target, sets: Sets, precision: float) -> Found:
    """Settle on the validation set, measure on the test set."""
    settled = settle(target, *sets.validation, precision)
    logits, truth = sets.test
    everything = slice(0, len(target.labels))
    plain = decide(Rules(target, everything), logits)
    outcome = decide(Rules(target, everything, settled["temperature"], settled["review_below"]), logits)
    assert outcome.needs_review is not None
    right, alone = outcome.chosen.argmax(axis=1) == truth, ~outcome.needs_review
    return Found(
        right.mean(),
        alone.mean(),
        right[alone].mean() if alone.any() else np.nan,
        calibration(plain.confidence, right).error,
        calibration(outcome.confidence, right).error,
    )


if __name__ == "__main__":
    main()
