"""From a model's answers to all that an evaluation says about them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from data.examples import Examples
from evaluation import scores
from evaluation.metrics import Check, Threshold, apply_thresholds, gate_message
from evaluation.scores import Calibration, ClassScores, Estimate
from evaluation.triage import ALWAYS, coverage_curve
from serving.targets import NO_LABEL, Target

MISTAKES = 30
"""How many of the wrong answers are shown."""

CURVE_POINTS = 200
"""How many points of the curve are kept."""


@dataclass(frozen=True)
class Predictions:
    """One target's answers to all rows, and the truth.

    Attributes:
        target: the question.
        true: the labels' ids, int64 of shape (rows,), for kind ``one``; bool of shape (rows, labels) for
            kind ``several``.
        predicted: likewise, as a client was told.
        confidence: how probable each answer is (serving/targets.py: ``confidence_of``), float64 of shape
            (rows,).
        scores: calibrated probability of every label, float64 of shape (rows, labels).
        uncalibrated: the same without temperature.
        needs_review: whether the answer asks for a person, bool of shape (rows,); None: no triage.
        temperature: by which the model's outputs are divided.
        review_below: label -> score below which its answer asks for a person; None: no triage.
        precision: what triage was asked for.
    """

    target: Target
    true: np.ndarray
    predicted: np.ndarray
    confidence: np.ndarray
    scores: np.ndarray
    uncalibrated: np.ndarray
    needs_review: np.ndarray | None = None
    temperature: float = 1.0
    review_below: dict[str, float] | None = None
    precision: float | None = None

    @property
    def rows(self) -> int:
        """How many texts there are."""
        return len(self.true)

    @property
    def correct(self) -> np.ndarray:
        """Whether each answer is right, of ``several`` in every label; bool of shape (rows,)."""
        equal = np.asarray(self.predicted == self.true)
        return equal if self.target.kind == "one" else np.asarray(equal.all(axis=1))

    def names(self, of: np.ndarray) -> list[str]:
        """Return true or predicted labels as texts; several are joined as in the CSV answers: ``a;b``."""
        labels = self.target.labels
        if self.target.kind == "one":
            return [labels[index] for index in of.tolist()]
        return [";".join(names) for names in self.lists(of)]

    def lists(self, of: np.ndarray) -> list[list[str]]:
        """Return each row's labels, where there may be several."""
        labels = self.target.labels
        return [[labels[index] for index in np.flatnonzero(row).tolist()] for row in of]


@dataclass(frozen=True)
class Mistake:
    """A wrong answer; of several labels they are joined."""

    row: int
    text: str
    label: str
    prediction: str
    confidence: float


@dataclass(frozen=True)
class Trusted:
    """How one label's answers fare under triage.

    Attributes:
        label: the label; empty for the answer that none holds.
        threshold: score from which no person is asked; None: one always is.
        answers: with this label.
        accepted: of these, how many were sure enough.
        right: of the accepted ones.
    """

    label: str
    threshold: float | None
    answers: int
    accepted: int
    right: int


@dataclass(frozen=True)
class Triage:
    """What triage does on the test set. Precision: which share of the labels that were answered is right.

    Attributes:
        declared: the precision that was asked for; None if the model does not say.
        temperature: of the target.
        coverage: share of the texts whose answer needs no person.
        precision: among these.
        untouched: the precision of all answers, with nobody asked.
        labels: one by one.
        curve: coverage and precision from the surest text to all of them, each of shape (points,).
        uncalibrated: confidence against accuracy without temperature.
    """

    declared: float | None
    temperature: float
    coverage: Estimate
    precision: Estimate
    untouched: Estimate
    labels: Sequence[Trusted]
    curve: tuple[np.ndarray, np.ndarray]
    uncalibrated: Calibration


@dataclass(frozen=True)
class TargetEvaluation:
    """What is known about one target's answers; the arrays are as in scores.py.

    Attributes:
        predictions: the answers, beside the truth.
        figures: metric -> value and interval.
        scores: of each label.
        calibration: confidence against accuracy.
        sure: the score of every label that was answered, shape (answers,): of one label one a row.
        right: whether it holds, shape (answers,).
        mistakes: the wrong answers that the model was surest of.
        matrix: confusion matrix; None where a text may have several labels.
        triage: None: the model has none.
    """

    predictions: Predictions
    figures: Mapping[str, Estimate]
    scores: ClassScores
    calibration: Calibration
    sure: np.ndarray
    right: np.ndarray
    mistakes: Sequence[Mistake]
    matrix: np.ndarray | None = None
    triage: Triage | None = None

    @property
    def target(self) -> Target:
        """The question."""
        return self.predictions.target


@dataclass(frozen=True)
class Evaluation:
    """All that is known about the model on the test set.

    Attributes:
        title: name of the model.
        targets: in the model's order.
        checks: the thresholds and how the model did.
        message: of the gate.
        facts: where the model comes from, name -> value.
    """

    title: str
    targets: Sequence[TargetEvaluation]
    checks: Sequence[Check]
    message: str
    facts: Mapping[str, str]

    @property
    def passed(self) -> bool:
        """Whether every threshold is met."""
        return all(check.passed for check in self.checks)

    @property
    def rows(self) -> int:
        """How many texts the test set has."""
        return self.targets[0].predictions.rows


def figure_name(targets: Sequence[Target], target: Target, metric: str) -> str:
    """Return what a figure is called where there may be several targets: ``sentiment.accuracy``."""
    return metric if len(targets) == 1 else f"{target.name}.{metric}"


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
        figures = scores.label_estimates(true, predicted, found.scores, repeats, seed)
        of_labels = scores.label_scores(true, predicted)
        matrix = None
    else:
        figures = scores.estimates(true, predicted, found.confidence, labels, repeats, seed)
        matrix = scores.confusion_matrix(true, predicted, labels)
        of_labels = scores.class_scores(matrix)
    calibration = scores.calibration(sure, right)
    return TargetEvaluation(found, figures, of_labels, calibration, sure, right, mistakes, matrix, triage)


def answered(found: Predictions, shown: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the score of every label that was answered, and whether it holds; each of shape (answers,)."""
    chosen, holds = indicators(found)
    return shown[chosen], holds[chosen]


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
    shares = scores.ratios(
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
        uncalibrated=scores.calibration(*answered(found, found.uncalibrated)),
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
