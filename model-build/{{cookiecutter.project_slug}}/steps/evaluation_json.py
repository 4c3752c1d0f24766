"""``evaluation.json``: what the pipeline and the model registry read of an evaluation.

The keys of SageMaker's model quality report (``value`` and ``standard_deviation`` of each metric under
``multiclass_classification_metrics``, the confusion matrix as true label -> predicted label -> rows) are
where the model registry looks for them. A model with several targets has each one's figures and triage under
``targets``, and the first one's figures also where the registry looks. ``gate`` and ``test_rows`` are for
the pipeline.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from evaluation import Evaluation, TargetEvaluation, Triage
from metrics import Calibration, ClassScores, Estimate
from targets import Kind

KEYS: Mapping[Kind, str] = {
    "one": "multiclass_classification_metrics",
    "several": "multilabel_classification_metrics",
}
"""Where a target's figures are."""


def quality_report(evaluation: Evaluation) -> dict[str, Any]:
    """Return the content of ``evaluation.json``."""
    targets = {each.target.name: _target(each) for each in evaluation.targets}
    first = targets[evaluation.targets[0].target.name]
    if len(targets) == 1:
        content = first
    else:
        key = KEYS[evaluation.targets[0].target.kind]
        content = {key: first[key], "targets": targets}
    return {
        **content,
        "gate": {
            "passed": evaluation.passed,
            "message": evaluation.message,
            "checks": [asdict(check) for check in evaluation.checks],
        },
        "test_rows": evaluation.rows,
    }


def _target(found: TargetEvaluation) -> dict[str, Any]:
    labels, figures = found.target.labels, {name: _metric(each) for name, each in found.figures.items()}
    reliability = _reliability(found.calibration)
    triage = None if found.triage is None else _triage(found.triage, found.calibration)
    if found.matrix is None:
        content = {**figures, "per_class": _classes(found.scores, labels), "reliability": reliability}
        return {KEYS["several"]: content, "triage": triage}
    content = {
        **figures,
        "confusion_matrix": _confusion(found.matrix, labels),
        "per_class": _classes(found.scores, labels),
        "reliability": reliability,
    }
    return {KEYS["one"]: content, "triage": triage}


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


def _triage(triage: Triage, calibrated: Calibration) -> dict[str, Any]:
    """Return what triage does; ``threshold`` null: answers with this label always need a person."""
    return {
        "declared_precision": triage.declared,
        "temperature": triage.temperature,
        "coverage": _metric(triage.coverage),
        "precision": _metric(triage.precision),
        "precision_of_all": _metric(triage.untouched),
        "expected_calibration_error": {
            "uncalibrated": triage.uncalibrated.error,
            "calibrated": calibrated.error,
        },
        "per_class": {
            each.label: {
                "threshold": each.threshold,
                "answers": each.answers,
                "accepted": each.accepted,
                "precision": each.right / each.accepted if each.accepted else None,
            }
            for each in triage.labels
        },
        "curve": [
            {"coverage": round(float(coverage), 6), "precision": round(float(precision), 6)}
            for coverage, precision in zip(*triage.curve, strict=True)
        ],
    }
