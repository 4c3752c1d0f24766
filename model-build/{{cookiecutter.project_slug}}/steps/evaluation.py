"""What an evaluation found, from the test set and the model's answers, and ``evaluation.json`` made of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from gate import Check
from metrics import Calibration, ClassScores, Estimate

MISTAKES = 30
"""How many of the wrong answers are shown."""


@dataclass(frozen=True)
class Examples:
    """The test set; everything runs over its rows.

    Attributes:
        texts: what the model is asked.
        label_ids: the true classes, int64 of shape (rows,).
        rows: numbers of the rows in the input data.
    """

    texts: list[str]
    label_ids: np.ndarray
    rows: list[int]


@dataclass(frozen=True)
class Mistake:
    """A wrong answer."""

    row: int
    text: str
    label: str
    prediction: str
    confidence: float


@dataclass(frozen=True)
class Evaluation:
    """All that is known about the model on the test set; the arrays are as in metrics.py.

    Attributes:
        title: name of the model.
        labels: class names in the order of their ids.
        figures: metric -> value and interval.
        matrix: confusion matrix.
        scores: of each class.
        calibration: confidence against accuracy.
        confidence: of each answer, shape (rows,).
        correct: whether it was right, shape (rows,).
        mistakes: the wrong answers that the model was surest of.
        checks: the thresholds and how the model did.
        message: of the gate.
        facts: where the model comes from, name -> value.
    """

    title: str
    labels: Sequence[str]
    figures: Mapping[str, Estimate]
    matrix: np.ndarray
    scores: ClassScores
    calibration: Calibration
    confidence: np.ndarray
    correct: np.ndarray
    mistakes: Sequence[Mistake]
    checks: Sequence[Check]
    message: str
    facts: Mapping[str, str]

    @property
    def passed(self) -> bool:
        """Whether every threshold is met."""
        return all(check.passed for check in self.checks)


def surest_mistakes(
    examples: Examples, predicted: np.ndarray, confidence: np.ndarray, labels: Sequence[str]
) -> list[Mistake]:
    """Return the wrong answers with the highest confidence, the surest first."""
    wrong = np.flatnonzero(predicted != examples.label_ids)
    order = wrong[np.argsort(-confidence[wrong], kind="stable")][:MISTAKES]
    return [
        Mistake(
            examples.rows[index],
            examples.texts[index],
            labels[examples.label_ids[index]],
            labels[predicted[index]],
            float(confidence[index]),
        )
        for index in order
    ]


def quality_report(evaluation: Evaluation) -> dict[str, Any]:
    """Return the content of ``evaluation.json``.

    The keys of SageMaker's model quality report (``value`` and ``standard_deviation`` of each metric under
    ``multiclass_classification_metrics``, the confusion matrix as true label -> predicted label -> rows) are
    where the model registry looks for them; ``gate`` and ``test_rows`` are for the pipeline.
    """
    return {
        "multiclass_classification_metrics": {
            **{name: _metric(figure) for name, figure in evaluation.figures.items()},
            "confusion_matrix": _confusion(evaluation.matrix, evaluation.labels),
            "per_class": _classes(evaluation.scores, evaluation.labels),
            "reliability": _reliability(evaluation.calibration),
        },
        "gate": {
            "passed": evaluation.passed,
            "message": evaluation.message,
            "checks": [asdict(check) for check in evaluation.checks],
        },
        "test_rows": len(evaluation.correct),
    }


def _metric(figure: Estimate) -> dict[str, Any]:
    return {
        "value": figure.value,
        "standard_deviation": figure.standard_deviation,
        "confidence_interval": [figure.low, figure.high],
    }


def _confusion(matrix: np.ndarray, labels: Sequence[str]) -> dict[str, dict[str, int]]:
    return {
        true: dict(zip(labels, row, strict=True)) for true, row in zip(labels, matrix.tolist(), strict=True)
    }


def _classes(scores: ClassScores, labels: Sequence[str]) -> dict[str, dict[str, Any]]:
    return {
        label: {
            "precision": float(scores.precision[index]),
            "recall": float(scores.recall[index]),
            "f1": float(scores.f1[index]),
            "support": int(scores.support[index]),
        }
        for index, label in enumerate(labels)
    }


def _reliability(calibration: Calibration) -> list[dict[str, Any]]:
    bins = zip(calibration.count, calibration.confidence, calibration.accuracy, strict=True)
    return [
        {"rows": int(rows), "confidence": float(mean), "accuracy": float(right)} for rows, mean, right in bins
    ]
