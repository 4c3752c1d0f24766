"""Say what a model answers without saying what it was asked: one line for each request, with no text in it.

``inference.py`` calls ``log``. The line is::

    mlops-watch {"version": 1, "texts": 3, "targets": {…}, "words": {…}, "unknown": {…}}

It holds counts only: how many texts got which label, how sure the model was (in hundredths), how many it
would have a person look at, how many words the texts have, and which share of these the training data did
not know. No word of a text, no hash of one, and nothing that tells one text of a request from another.

Inference containers put something of their own before a line, so whoever reads the log looks for the marker
and takes what follows. The bins are the same everywhere and for every model: what serving counts, what
training wrote down (packing/profile.py) and what the drift check compares are the same sums.

Imports nothing but the standard library and numpy.
"""

from __future__ import annotations

import bisect
import json
import re
import zlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

MARKER = "mlops-watch "
VERSION = 1

NO_LABEL = "(none)"
"""Counts the texts that got none of the labels of a target with several."""

CONFIDENCE = (0.4, 0.6, 0.8, 0.9, 0.97)
WORDS = (5, 10, 20, 50, 100, 250)
UNKNOWN = (0.02, 0.05, 0.1, 0.2, 0.4)
"""Where the bins begin, but for the first; UNKNOWN is a share of a text's words.

Whole hundredths, and words with two digits that count: ``counts`` rounds down to these, which leaves every
value in its bin.
"""

VOCABULARY = "vocabulary.bin"

_WORD = re.compile(r"\w+")


class Answered(NamedTuple):
    """What one text got for one target.

    Attributes:
        labels: one, or of a target with several any number, also none.
        confidence: how probable it is that this is right: of a target with several, of its least sure label.
        needs_review: None: this model has no triage.
    """

    labels: tuple[str, ...]
    confidence: float
    needs_review: bool | None = None


def answered(
    scores: np.ndarray,
    labels: Sequence[str],
    kind: str,
    decide_at: Mapping[str, float] | None = None,
    needs_review: Sequence[bool] | None = None,
) -> list[Answered]:
    """Return what each text got, from calibrated probabilities of shape (texts, labels).

    Args:
        scores: of one target.
        labels: in the order of the columns.
        kind: ``one`` or ``several``.
        decide_at: of a target with several: from which score a label is answered; None: from 0.5.
        needs_review: for each text; None: this model has no triage.
    """
    review = [None] * len(scores) if needs_review is None else [bool(flag) for flag in needs_review]
    if not len(scores):
        return []
    if kind == "one":
        best = scores.argmax(axis=1)
        sure = scores[np.arange(len(scores)), best]
        return [
            Answered((labels[index],), score, flag)
            for index, score, flag in zip(best.tolist(), sure.tolist(), review, strict=True)
        ]
    bounds = np.array([(decide_at or {}).get(label, 0.5) for label in labels])
    chosen = scores >= bounds
    sure = np.maximum(scores, 1 - scores).min(axis=1)
    return [
        Answered(tuple(labels[index] for index in np.flatnonzero(row).tolist()), score, flag)
        for row, score, flag in zip(chosen, sure.tolist(), review, strict=True)
    ]


def words_of(text: str) -> list[str]:
    """Return the words of a text: runs of letters and digits, in small letters."""
    return _WORD.findall(text.lower())


def word_id(word: str) -> int:
    """Return 32 bits that stand for a word. Two words in 100,000 or so share one: enough to count with."""
    return zlib.crc32(word.encode("utf-8", "replace"))


class Vocabulary(NamedTuple):
    """Which words the training data have, as 32-bit ids; the words themselves are kept nowhere."""

    ids: frozenset[int]

    @classmethod
    def read(cls, folder: Path) -> Vocabulary | None:
        """Read the file that training wrote into the model; None for a model that has none."""
        path = folder / VOCABULARY
        return cls(frozenset(np.fromfile(path, dtype="<u4").tolist())) if path.is_file() else None

    def unknown(self, words: Sequence[str]) -> float:
        """Return the share of the words, 0 to 1, that are not among these; words with a digit are left out.

        Numbers, dates and references are new in every text, and mean nothing here.
        """
        plain = [word for word in words if word.isalpha()]
        if not plain:
            return 0.0
        return sum(word_id(word) not in self.ids for word in plain) / len(plain)


def bin_of(value: float, bounds: Sequence[float]) -> int:
    """Return the number, from 0, of the bin that a value falls into."""
    return bisect.bisect_right(bounds, value)


def bin_counts(values: Iterable[float], bounds: Sequence[float]) -> list[int]:
    """Return how many values fall into each bin."""
    counts = [0] * (len(bounds) + 1)
    for value in values:
        counts[bin_of(value, bounds)] += 1
    return counts


def counts(
    texts: Sequence[str], answers: Mapping[str, Sequence[Answered]], vocabulary: Vocabulary | None
) -> dict[str, Any]:
    """Return what is said about the texts of one request and what they got, ready for JSON.

    ``words``, ``unknown`` and ``confidence`` say how often each value occurs, rounded down: shares and
    confidence to hundredths, words to two digits that count. So a request of a thousand texts has a short
    line, too.
    """
    words: Counter[int] = Counter()
    unknown: Counter[int] = Counter()
    for text in texts:  # one at a time: the words of all of them take ten times the memory of the texts
        found = words_of(text)
        words[_two_digits(len(found))] += 1
        if vocabulary is not None:
            unknown[_hundredths(vocabulary.unknown(found))] += 1
    content: dict[str, Any] = {
        "version": VERSION,
        "texts": len(texts),
        "targets": {name: _target(each) for name, each in answers.items()},
        "words": _occurrences(words),
    }
    if vocabulary is not None:
        content["unknown"] = _occurrences(unknown)
    return content


def _target(answers: Sequence[Answered]) -> dict[str, Any]:
    content: dict[str, Any] = {
        "labels": dict(Counter(label for each in answers for label in each.labels or (NO_LABEL,))),
        "confidence": _occurrences(Counter(_hundredths(each.confidence) for each in answers)),
    }
    flags = [each.needs_review for each in answers if each.needs_review is not None]
    if flags:
        content["review"] = sum(flags)
    return content


def _hundredths(share: float) -> int:
    return int(100 * share + 1e-9)  # 0.29 is stored as a little less


def _two_digits(number: int) -> int:
    """Return 1234 as 1200."""
    step: int = 10 ** max(0, len(str(number)) - 2)
    return number // step * step


def _occurrences(values: Counter[int]) -> dict[str, int]:
    return {str(value): count for value, count in sorted(values.items())}


def log(
    texts: Sequence[str], answers: Mapping[str, Sequence[Answered]], vocabulary: Vocabulary | None
) -> None:
    """Print the line of one request; a request without texts has none."""
    if texts:
        content = json.dumps(counts(texts, answers, vocabulary), ensure_ascii=True, separators=(",", ":"))
        print(MARKER + content, flush=True)
