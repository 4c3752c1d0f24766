"""What an evaluation found, from the test set and the model's answers (measure.py computes it)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from gate import Check
from metrics import Calibration, ClassScores, Estimate
from predictions import Predictions
from targets import Target


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
    """What is known about one target's answers; the arrays are as in metrics.py.

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
