"""What a model answered to the test set, target by target, beside what is true."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from targets import Target


@dataclass(frozen=True)
class Predictions:
    """One target's answers to all rows, and the truth.

    Attributes:
        target: the question.
        true: the labels' ids, int64 of shape (rows,), for kind ``one``; bool of shape (rows, labels) for
            kind ``several``.
        predicted: likewise, as a client was told.
        confidence: how probable each answer is, float64 of shape (rows,) (answers.py: ``confidence_of``).
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
