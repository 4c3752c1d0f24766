"""How the rows were answered, in figures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from model_answers import Answer, Target
from tally import Tally


class Summary:
    """Counts answers by their labels.

    Args:
        targets: what the model answers about a text.

    Attributes:
        rows: so far.
        errors: of those that have no answer.
    """

    def __init__(self, targets: Sequence[Target]) -> None:
        self.rows = 0
        self.errors = Tally()
        self._targets = [(target, _Figures()) for target in targets]

    def add(self, row: int, answer: Answer | None, error: str | None) -> None:
        """Count a row, by its number."""
        self.rows += 1
        if error is not None:
            self.errors.add(error, row)
        elif answer is not None:
            for (target, figures), said in zip(self._targets, answer):
                figures.add(said.labels if target.several else said.labels[:1])
                if said.needs_review:
                    figures.reviews += 1

    def report(self) -> dict[str, Any]:
        """Return what summary.json says of the rows.

        The figures of a model's single target are at the top; those of several are in ``targets``.
        """
        each = {target.name: figures.report(target) for target, figures in self._targets}
        return {
            "version": 1,
            "rows": self.rows,
            "answered": self.rows - self.errors.empty - self.errors.bad,
            "empty": self.errors.empty,
            "bad": self.errors.bad,
            **each.get("", {"targets": each}),
            "errors": self.errors.report(),
        }


class _Figures:
    """Those of one target."""

    def __init__(self) -> None:
        self.reviews = 0
        self._unlabelled = 0
        self._labels: dict[str, list[float]] = {}  # how many rows, and the sum of their scores

    def add(self, labels: Sequence[tuple[str, float]]) -> None:
        if not labels:
            self._unlabelled += 1
        for label, score in labels:
            figures = self._labels.setdefault(label, [0, 0.0])
            figures[0] += 1
            figures[1] += score

    def report(self, target: Target) -> dict[str, Any]:
        """Return labels by their number of rows, then by name, and what else there is to count."""
        labels = sorted(self._labels.items(), key=lambda item: (-item[1][0], item[0]))
        found: dict[str, Any] = {
            "labels": {label: int(count) for label, (count, _) in labels},
            "mean_scores": {label: round(total / count, 6) for label, (count, total) in labels},
        }
        if target.several:
            found["several"] = True
            found["without_label"] = self._unlabelled
        if target.reviewed:
            found["needs_review"] = self.reviews
        return found
