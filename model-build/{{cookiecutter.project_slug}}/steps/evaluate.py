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
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import champion
import comparison_report
import evaluate_settings
from archive import check_labels, predict, unpack
from batches import LabelSet, read_all
from comparison import with_live_model, without_texts
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
    compared = with_live_model(settings, [found], whole.texts, examples.rows, label_set.text)
    verdict = champion.verdict(compared, settings.not_worse_by)
    content = write(settings.output, evaluation, compared, verdict)
    write_predictions(settings.output / "predictions.parquet", examples, predicted, confidence, labels)
    for name in ("accuracy", "macro_f1", "expected_calibration_error"):
        figure = evaluation.figures[name]
        print(f"test:{name}={figure.value:.4f}; 95 % interval {figure.low:.4f} to {figure.high:.4f}")
    gate = content["gate"]
    print(f"gate {'passed' if gate['passed'] else 'missed'}: {gate['message']}")
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


def write(
    folder: Path, evaluation: Evaluation, compared: dict[str, Any], verdict: champion.Verdict
) -> dict[str, Any]:
    """Write ``evaluation.json`` and ``report.html``; return the content of the first."""
    folder.mkdir(parents=True, exist_ok=True)
    content = champion.judged(quality_report(evaluation), without_texts(compared), verdict)
    text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False)
    (folder / "evaluation.json").write_text(text + "\n", encoding="utf-8")
    html = page(evaluation, comparison_report.section(compared, verdict))
    (folder / "report.html").write_text(html, encoding="utf-8")
    return content


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
