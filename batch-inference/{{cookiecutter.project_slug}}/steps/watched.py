"""What was asked and answered, in counts without any text: watch.json, of which publish.py makes metrics.

The form is that of the lines that a model behind an endpoint prints (model-build's steps/serving/watch.py),
and the same things are counted in the same way. Two are not known here: which words the training data did
not know, as the vocabulary is inside the model; and how sure a model is of a target with several labels, as
its answers hold the scores of those labels alone that it gave.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from model_answers import Answer, Target

VERSION = 1
NO_LABEL = "(none)"
ONLY_TARGET = "label"
"""What the target is called of a model that has one: its answers do not say."""

_words = re.compile(r"\w+").findall


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
