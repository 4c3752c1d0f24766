"""What the pipeline and the model registry read of an evaluation: evaluation.json and model_card.json.

``evaluation.json`` has the keys of SageMaker's model quality report (``value`` and ``standard_deviation`` of
each metric under ``multiclass_classification_metrics``, the confusion matrix as true label -> predicted label
-> rows), where the model registry looks for them. A model with several targets has each one's figures and
triage under ``targets``, and the first one's figures also where the registry looks. ``gate`` and
``test_rows`` are for the pipeline.

``model_card.json`` is evaluation's part of the model card; the pipeline puts its two texts into the card of
the model package. Each is JSON as one text, on one line, since a card is such a text. The layout is that of a
model package's card, ``SageMakerModelCardSchema`` in "View the Details of a Model Version" of the SageMaker
Developer Guide, with its lengths; a card may have 100,000 characters.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from evaluation.measure import Evaluation, TargetEvaluation, Triage
from evaluation.metrics import PLACES
from evaluation.scores import Calibration, ClassScores, Estimate

LONGEST = 30_000
"""Characters of the evaluation's part; classes are left out of it, the rarest first, until it fits."""

OBSERVATION, TEXT, CLASSES = 2096, 2048, 100

_NOT_A_FIGURE = ("confusion_matrix", "per_class", "reliability")

_CHANGED = (("fixed", "became right"), ("broken", "became wrong"))


def quality_report(evaluation: Evaluation) -> dict[str, Any]:
    """Return the content of ``evaluation.json``."""
    targets = {each.target.name: _target(each) for each in evaluation.targets}
    first = targets[evaluation.targets[0].target.name]
    if len(targets) == 1:
        content = first
    else:
        key = PLACES[evaluation.targets[0].target.kind]
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
    labels, figures = found.target.labels, {name: _figure(each) for name, each in found.figures.items()}
    reliability = _reliability(found.calibration)
    triage = None if found.triage is None else _triage(found.triage, found.calibration)
    if found.matrix is None:
        content = {**figures, "per_class": _classes(found.scores, labels), "reliability": reliability}
        return {PLACES["several"]: content, "triage": triage}
    content = {
        **figures,
        "confusion_matrix": _confusion(found.matrix, labels),
        "per_class": _classes(found.scores, labels),
        "reliability": reliability,
    }
    return {PLACES["one"]: content, "triage": triage}


def _figure(figure: Estimate) -> dict[str, Any]:
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
        "coverage": _figure(triage.coverage),
        "precision": _figure(triage.precision),
        "precision_of_all": _figure(triage.untouched),
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


def model_card(evaluation: Mapping[str, Any]) -> dict[str, str]:
    """Return ``model_card.json``: ``evaluation_details`` and ``caveats``, JSON texts both.

    Args:
        evaluation: the content of evaluation.json.
    """
    most = CLASSES
    while True:
        text = one_line(details(evaluation, most))
        if len(text) <= LONGEST or not most:
            break
        most //= 2
    return {"evaluation_details": text, "caveats": one_line(caveats(evaluation))}


def one_line(value: Any) -> str:
    """Return JSON without a line break: the pattern of a card's text is ``.*``."""
    return json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))


def details(evaluation: Mapping[str, Any], most: int) -> list[dict[str, Any]]:
    """Return the card's ``evaluation_details``: the test set's, and that of the comparison if there is one.

    Args:
        evaluation: the content of evaluation.json.
        most: classes to list, those with most rows first.
    """
    parts = evaluation.get("targets") or {"": evaluation}
    groups = [group for name, part in parts.items() for group in _groups(name, part, most)]
    tested = {
        "name": "Test set",
        "evaluation_observation": cut(
            f"{evaluation['test_rows']} rows that training has not seen. "
            f"Gate: {evaluation['gate']['message']}",
            OBSERVATION,
        ),
        "metric_groups": groups,
    }
    comparison = evaluation.get("comparison", {})
    return [tested, *([_compared(comparison)] if comparison.get("status") == "compared" else [])]


def caveats(evaluation: Mapping[str, Any]) -> str:
    """Return what a user should be careful about, as far as the figures tell."""
    comparison = evaluation.get("comparison", {})
    parts = evaluation.get("targets") or {"": evaluation}
    weak = [text for name, part in parts.items() for text in _weak(name, part)]
    texts = [
        "Measured on texts like those of the training data; others (another language, channel, time) may be "
        "answered worse, and with more confidence than is due.",
        f"Weakest classes on the test set (F1): {', '.join(weak)}." if weak else "",
        *comparison.get("warnings", []),
    ]
    return cut(" ".join(filter(None, texts)), TEXT)


def cut(text: str, most: int) -> str:
    """Return the text, cut to a number of characters."""
    return text if len(text) <= most else text[: most - 1] + "…"


def _figures(part: Mapping[str, Any]) -> Mapping[str, Any]:
    return next((value for key, value in part.items() if key.endswith("classification_metrics")), {})


def _groups(name: str, part: Mapping[str, Any], most: int) -> Iterable[dict[str, Any]]:
    of = f"{name}: " if name else ""
    figures = _figures(part)
    data = []
    for metric, figure in figures.items():
        if metric in _NOT_A_FIGURE or not isinstance(figure, Mapping) or "value" not in figure:
            continue
        interval = figure.get("confidence_interval")
        between = f"95 % interval {interval[0]:.4f} to {interval[1]:.4f}" if interval else ""
        data.append(_metric(metric, figure["value"], between))
    yield {"name": cut(f"{of}figures", 63), "metric_data": data}
    classes = sorted(figures.get("per_class", {}).items(), key=lambda each: -each[1]["support"])[:most]
    if classes:
        yield {
            "name": cut(f"{of}F1 of each class", 63),
            "metric_data": [
                _metric(
                    label,
                    scores["f1"],
                    f"precision {scores['precision']:.4f}, recall {scores['recall']:.4f}, "
                    f"{scores['support']} rows",
                )
                for label, scores in classes
            ],
        }


def _compared(comparison: Mapping[str, Any]) -> dict[str, Any]:
    rows, live = comparison["rows"], comparison["live"]
    groups = []
    for name, target in comparison["targets"].items():
        of = f"{name}: " if len(comparison["targets"]) > 1 else ""
        data = [
            _metric(
                metric,
                figure["difference"],
                f"new {figure['candidate']:.4f}, live {figure['live']:.4f}; 95 % interval of the difference "
                f"{figure['confidence_interval'][0]:+.4f} to {figure['confidence_interval'][1]:+.4f}",
            )
            for metric, figure in target["figures"].items()
        ]
        changed = {f"answers that {what}": target["changed"][word] for word, what in _CHANGED}
        groups.append(
            {
                "name": cut(f"{of}difference from the live model", 63),
                "metric_data": [*data, *(_metric(what, count, "") for what, count in changed.items())],
            }
        )
    return {
        "name": "Beside the live model",
        "evaluation_observation": cut(
            f"Version {live['version']}, asked the same {rows['compared']} of {rows['test']} test rows. "
            + " ".join(comparison["warnings"]),
            OBSERVATION,
        ),
        "metadata": {"live_model_package": live["package"][:1024], "live_commit": live["commit"][:1024]},
        "metric_groups": groups,
    }


def _metric(name: str, value: float, notes: str) -> dict[str, Any]:
    found: dict[str, Any] = {"name": cut(name, 255), "type": "number", "value": round(float(value), 6)}
    return {**found, "notes": cut(notes, 1024)} if notes else found


def _weak(name: str, part: Mapping[str, Any], most: int = 3) -> list[str]:
    of = f"{name}: " if name else ""
    classes = [
        (scores["f1"], label)
        for label, scores in _figures(part).get("per_class", {}).items()
        if scores["support"]
    ]
    return [f"{of}{cut(label, 60)} {f1:.2f}" for f1, label in sorted(classes)[:most] if f1 < 0.8]
