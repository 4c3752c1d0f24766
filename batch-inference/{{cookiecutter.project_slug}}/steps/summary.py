"""How the rows were answered, in figures."""

from __future__ import annotations

from typing import Any

from matching import Best
from tally import Tally


class Summary:
    """Counts answers by their class.

    Attributes:
        rows: so far.
        errors: of those that have no answer.
    """

    def __init__(self) -> None:
        self.rows = 0
        self.errors = Tally()
        self._labels: dict[str, list[float]] = {}  # how many rows, and the sum of their scores

    def add(self, row: int, best: Best | None, error: str | None) -> None:
        """Count a row, by its number."""
        self.rows += 1
        if error is not None:
            self.errors.add(error, row)
        elif best:
            label, score = best[0]
            figures = self._labels.setdefault(label, [0, 0.0])
            figures[0] += 1
            figures[1] += score

    def report(self) -> dict[str, Any]:
        """Return what summary.json says of the rows; classes by their number of rows, then by name."""
        labels = sorted(self._labels.items(), key=lambda item: (-item[1][0], item[0]))
        return {
            "version": 1,
            "rows": self.rows,
            "answered": self.rows - self.errors.empty - self.errors.bad,
            "empty": self.errors.empty,
            "bad": self.errors.bad,
            "labels": {label: int(count) for label, (count, _) in labels},
            "mean_scores": {label: round(total / count, 6) for label, (count, total) in labels},
            "errors": self.errors.report(),
        }
