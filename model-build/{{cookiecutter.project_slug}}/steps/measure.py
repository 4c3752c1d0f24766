"""From a model's answers to all that an evaluation says about them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

import metrics
import multilabel
from answers import NO_LABEL
from batches import Examples
from evaluation import Evaluation, Mistake, TargetEvaluation, Triage, Trusted, figure_name
from gate import Threshold, apply_thresholds, gate_message
from predictions import Predictions
from triage import ALWAYS, coverage_curve

MISTAKES = 30
"""How many of the wrong answers are shown."""

CURVE_POINTS = 200
"""How many points of the curve are kept."""


def measure(
    title: str,
    examples: Examples,
    found: Sequence[Predictions],
    thresholds: Sequence[Threshold],
    facts: Mapping[str, str],
    repeats: int,
    seed: int,
) -> Evaluation:
    """Compute every figure and compare it with the thresholds.

    Args:
        title: name of the model.
        examples: the test set.
        found: each target's answers.
        thresholds: on figures, named as by ``figure_name``.
        facts: where the model comes from.
        repeats: draws of the bootstrap.
        seed: of the draws.
    """
    targets = [measure_target(examples, each, repeats, seed) for each in found]
    asked = [each.target for each in found]
    values = {
        figure_name(asked, each.target, metric): figure.value
        for each in targets
        for metric, figure in each.figures.items()
    }
    checks = apply_thresholds(thresholds, values)
    return Evaluation(title, targets, checks, gate_message(checks), facts)


def measure_target(examples: Examples, found: Predictions, repeats: int, seed: int) -> TargetEvaluation:
    """Compute one target's figures."""
    true, predicted, labels = found.true, found.predicted, len(found.target.labels)
    sure, right = answered(found, found.scores)
    mistakes = surest_mistakes(examples, found)
    triage = measure_triage(found, repeats, seed) if found.review_below is not None else None
    if found.target.kind == "several":
        figures = multilabel.estimates(true, predicted, found.scores, repeats, seed)
        scores = multilabel.label_scores(true, predicted)
        matrix = None
    else:
        figures = metrics.estimates(true, predicted, found.confidence, labels, repeats, seed)
        matrix = metrics.confusion_matrix(true, predicted, labels)
        scores = metrics.class_scores(matrix)
    calibration = metrics.calibration(sure, right)
    return TargetEvaluation(found, figures, scores, calibration, sure, right, mistakes, matrix, triage)


def answered(found: Predictions, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the score of every label that was answered, and whether it holds; each of shape (answers,)."""
    chosen, holds = indicators(found)
    return scores[chosen], holds[chosen]


def indicators(found: Predictions) -> tuple[np.ndarray, np.ndarray]:
    """Return which labels were answered and which hold, each bool of shape (rows, labels)."""
    if found.target.kind == "several":
        return found.predicted, found.true
    ids = np.arange(len(found.target.labels))
    return found.predicted[:, None] == ids, found.true[:, None] == ids


def surest_mistakes(examples: Examples, found: Predictions) -> list[Mistake]:
    """Return the wrong answers with the highest confidence, the surest first."""
    wrong = np.flatnonzero(~found.correct)
    order = wrong[np.argsort(-found.confidence[wrong], kind="stable")][:MISTAKES]
    true, predicted = found.names(found.true[order]), found.names(found.predicted[order])
    return [
        Mistake(
            int(examples.rows[index]),
            examples.texts[index],
            true[place],
            predicted[place],
            float(found.confidence[index]),
        )
        for place, index in enumerate(order)
    ]


def measure_triage(found: Predictions, repeats: int, seed: int) -> Triage:
    """Compute what triage does on the test set; the model has it."""
    assert found.needs_review is not None and found.review_below is not None
    chosen, holds = indicators(found)
    accepted = ~found.needs_review
    # None of the labels is an answer, too.
    right = (chosen & holds).sum(axis=1) + (~chosen.any(axis=1) & ~holds.any(axis=1))
    answers = np.maximum(1, chosen.sum(axis=1))
    shares = metrics.ratios(
        {
            "coverage": (accepted, np.ones(found.rows)),
            "precision": (right * accepted, answers * accepted),
            "untouched": (right, answers),
        },
        repeats,
        seed,
    )
    coverage, precision = coverage_curve(found.confidence, right, answers)
    kept = np.unique(np.linspace(0, len(coverage) - 1, min(CURVE_POINTS, len(coverage))).round().astype(int))
    return Triage(
        declared=found.precision,
        temperature=found.temperature,
        coverage=shares["coverage"],
        precision=shares["precision"],
        untouched=shares["untouched"],
        labels=_trusted(found.target.labels, chosen, holds, accepted, found.review_below),
        curve=(coverage[kept], precision[kept]),
        uncalibrated=metrics.calibration(*answered(found, found.uncalibrated)),
    )


def _trusted(
    labels: Sequence[str],
    chosen: np.ndarray,
    holds: np.ndarray,
    accepted: np.ndarray,
    review_below: Mapping[str, float],
) -> list[Trusted]:
    """Return each label's answers, and last those with none where that may be."""
    columns = [
        (label, np.asarray(chosen[:, index]), np.asarray(holds[:, index]))
        for index, label in enumerate(labels)
    ]
    if NO_LABEL in review_below:
        columns.append((NO_LABEL, np.asarray(~chosen.any(axis=1)), np.asarray(~holds.any(axis=1))))
    return [
        Trusted(
            label,
            None if review_below[label] >= ALWAYS else review_below[label],
            int(given.sum()),
            int((given & accepted).sum()),
            int((given & accepted & true).sum()),
        )
        for label, given, true in columns
    ]
