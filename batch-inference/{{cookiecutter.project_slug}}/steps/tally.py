"""What is wrong with rows, counted, and whether it is too much."""

from __future__ import annotations

from failure import StepError
from readers import NO_TEXT

KINDS = 1000
"""So many different errors are told apart in memory."""

REPORTED = 20
"""So many of them are in a report."""

OTHER = "other errors"


class Tally:
    """Counts rows by what is wrong with them.

    Attributes:
        empty: rows without text.
        bad: rows with any other error.
    """

    def __init__(self) -> None:
        self.empty = 0
        self.bad = 0
        self._kinds: dict[str, list[int]] = {}  # how many rows, and the first of them

    def add(self, error: str, row: int) -> None:
        """Count a row, by its number."""
        if error == NO_TEXT:
            self.empty += 1
        else:
            self.bad += 1
        if error not in self._kinds and len(self._kinds) >= KINDS:
            error = OTHER
        self._kinds.setdefault(error, [0, row])[0] += 1

    def report(self) -> dict[str, int]:
        """Return how many rows had which error, the commonest first, the rest as one."""
        kinds = self._sorted()
        report = {error: count for error, count, _ in kinds[:REPORTED]}
        if rest := sum(count for _, count, _ in kinds[REPORTED:]):
            report[OTHER] = report.get(OTHER, 0) + rest
        return report

    def refuse_too_many(self, file: str, rows: int, max_percent: float) -> None:
        """Refuse the file when more of its rows are bad than declared.

        Raises:
            StepError: that is so; the message has the three commonest errors and where each occurs first.
        """
        if self.bad * 100 <= max_percent * rows:
            return
        reasons = "; ".join(
            f"{error} ({count:,} rows, the first is row {row:,})" if count > 1 else f"{error} (row {row:,})"
            for error, count, row in [kind for kind in self._sorted() if kind[0] != NO_TEXT][:3]
        )
        raise StepError(
            f"{file}: {self.bad:,} of {rows:,} rows are bad, {self.bad / rows:.1%}, and at most "
            f"{max_percent:g}% may be (input.max_bad_percent): {reasons}"
        )

    def _sorted(self) -> list[tuple[str, int, int]]:
        kinds = [(error, count, row) for error, (count, row) in self._kinds.items()]
        return sorted(kinds, key=lambda kind: (-kind[1], kind[2]))
