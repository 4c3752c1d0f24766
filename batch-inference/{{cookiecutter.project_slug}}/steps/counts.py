"""What was read, asked and answered, in figures: report.json, summary.json and watch.json.

watch.json has no text, and publish.py makes metrics of it. Its form is that of the lines that a model behind
an endpoint prints (model-build's steps), and the same things are counted in the same way. Two are not known
here: which words the training data did not know, as the vocabulary is inside the model; and how sure a model
is of a target with several labels, as its answers hold the scores of those labels alone that it gave.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from failure import StepError
from model_answers import Answer, Target
from readers import NO_TEXT

KINDS = 1000
"""So many different errors are told apart in memory."""

REPORTED = 20
"""So many of them are in a report."""

OTHER = "other errors"

VERSION = 1
NO_LABEL = "(none)"
ONLY_TARGET = "label"
"""What the target is called of a model that has one: its answers do not say."""

_words = re.compile(r"\w+").findall


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


class Words:
    """How many texts have how many words: runs of letters and digits."""

    def __init__(self) -> None:
        self._counts: Counter[int] = Counter()

    def add(self, inputs: Any) -> None:
        """Count a text, or the columns of one."""
        columns: Iterable[Any] = inputs.values() if isinstance(inputs, dict) else (inputs,)
        self._counts[sum([len(_words(text)) for text in columns if isinstance(text, str)])] += 1

    def report(self) -> dict[str, int]:
        """Return the counts, ready for JSON, of numbers with two digits that count: 1234 is 1200."""
        found: Counter[int] = Counter()
        for number, count in self._counts.items():
            step = 10 ** max(0, len(str(number)) - 2)
            found[number // step * step] += count
        return _ready(found)


class Answers:
    """What was answered, for each target.

    Args:
        targets: what the model answers about a text.
    """

    def __init__(self, targets: Sequence[Target]) -> None:
        self._texts = 0
        self._targets = [(target, _Target()) for target in targets]

    def add(self, answer: Answer) -> None:
        """Count the answer to a text."""
        self._texts += 1
        for (target, counts), said in zip(self._targets, answer):
            given = said.labels if target.several else said.labels[:1]
            if not given:
                counts.labels[NO_LABEL] += 1
            for label, score in given:
                counts.labels[label] += 1
                if not target.several:
                    counts.confidence[int(100 * min(max(score, 0.0), 1.0) + 1e-9)] += 1
            if said.needs_review:
                counts.review += 1

    def report(self, words: Mapping[str, int]) -> dict[str, Any]:
        """Return watch.json.

        Args:
            words: as ``Words`` has reported them.
        """
        return {
            "version": VERSION,
            "texts": self._texts,
            "targets": {
                target.name or ONLY_TARGET: {
                    "labels": dict(counts.labels),
                    "confidence": _ready(counts.confidence),
                    **({"review": counts.review} if target.reviewed else {}),
                }
                for target, counts in self._targets
            },
            "words": dict(words),
        }


class _Target:
    def __init__(self) -> None:
        self.labels: Counter[str] = Counter()
        self.confidence: Counter[int] = Counter()
        self.review = 0


def _ready(counts: Mapping[int, int]) -> dict[str, int]:
    return {str(value): count for value, count in sorted(counts.items())}
