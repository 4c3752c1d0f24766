"""Measure a trained model on the test set and decide whether it is good enough: the evaluation step.

In SageMaker every path's default is right. By hand::

    python evaluate.py --model model --test sets/test --output evaluation --at-least accuracy=0.7

Predictions come from the ``inference.py`` inside the model archive (archive.py): what is measured is what
will be served. Below ``--output`` it writes::

    evaluation.json        SageMaker's model quality layout, with intervals, classes, calibration and the gate
    report.html            the same for people, in one file
    predictions.parquet    row, label, prediction and confidence of each test row

A model that misses a threshold is not an error of this step: the exit code is 0, and the pipeline's condition
reads ``gate.passed``.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import evaluate_settings
from archive import check_labels, predict, unpack
from batches import LabelSet, read_all
from evaluation import Evaluation, Examples, quality_report, surest_mistakes
from failure import run
from gate import apply_thresholds, gate_message
from metrics import calibration, class_scores, confusion_matrix, estimates
from report import page


def main(arguments: list[str] | None = None) -> int:
    """Evaluate as the command line says; return the exit code."""
    settings = evaluate_settings.parse(arguments, (__doc__ or "").splitlines()[0])
    label_set = LabelSet.read(settings.test)
    labels = label_set.labels
    whole = read_all(settings.test, label_set.targets)
    with tempfile.TemporaryDirectory() as folder:
        model = unpack(settings.model, Path(folder))
        check_labels(model, label_set.targets)
        found = predict(model, whole.texts, whole.truth, settings.batch_size)[0]
    examples = Examples(whole.texts, whole.truth[0], whole.rows.tolist())
    predicted, confidence = found.predicted, found.confidence

    evaluation = measure(settings, examples, predicted, confidence, labels)
    write(settings.output, evaluation)
    write_predictions(settings.output / "predictions.parquet", examples, predicted, confidence, labels)
    for name in ("accuracy", "macro_f1", "expected_calibration_error"):
        figure = evaluation.figures[name]
        print(f"test:{name}={figure.value:.4f}; 95 % interval {figure.low:.4f} to {figure.high:.4f}")
    print(f"gate {'passed' if evaluation.passed else 'missed'}: {evaluation.message}")
    return 0


def measure(
    settings: evaluate_settings.Settings,
    examples: Examples,
    predicted: np.ndarray,
    confidence: np.ndarray,
    labels: Sequence[str],
) -> Evaluation:
    """Compute every figure and compare it with the thresholds."""
    true, correct = examples.label_ids, predicted == examples.label_ids
    figures = estimates(true, predicted, confidence, len(labels), settings.bootstrap, settings.seed)
    checks = apply_thresholds(settings.thresholds, {name: each.value for name, each in figures.items()})
    matrix = confusion_matrix(true, predicted, len(labels))
    facts = {"Data hash": settings.data_hash, "Commit": settings.commit}
    return Evaluation(
        title=settings.title,
        labels=labels,
        figures=figures,
        matrix=matrix,
        scores=class_scores(matrix),
        calibration=calibration(confidence, correct),
        confidence=confidence,
        correct=correct,
        mistakes=surest_mistakes(examples, predicted, confidence, labels),
        checks=checks,
        message=gate_message(checks),
        facts={name: value for name, value in facts.items() if value},
    )


def write(folder: Path, evaluation: Evaluation) -> None:
    """Write ``evaluation.json`` and ``report.html``."""
    folder.mkdir(parents=True, exist_ok=True)
    content = json.dumps(quality_report(evaluation), indent=2, ensure_ascii=False, allow_nan=False)
    (folder / "evaluation.json").write_text(content + "\n", encoding="utf-8")
    (folder / "report.html").write_text(page(evaluation), encoding="utf-8")


def write_predictions(
    path: Path, examples: Examples, predicted: np.ndarray, confidence: np.ndarray, labels: Sequence[str]
) -> None:
    """Write what the model answered to each test row, with its number in the input data."""
    names = np.asarray(labels, dtype=object)
    table = {
        "row": pa.array(examples.rows, pa.int64()),
        "label": pa.array(names[examples.label_ids], pa.string()),
        "prediction": pa.array(names[predicted], pa.string()),
        "confidence": pa.array(confidence, pa.float64()),
    }
    pq.write_table(pa.table(table), path)


if __name__ == "__main__":
    sys.exit(run(main))
