"""Counts of what was answered, as `mlops-watch` lines and files have them, and the bins that are counted in.

The model's own code (steps/serving/watch.py of model-build) prints such lines, and batch-inference's steps
write such a file. Bins, bounds and keys are the same there and in a model's training profile; a test holds
them to each other.
"""

import bisect
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

MARKER = "mlops-watch "
VERSION = 1
NO_LABEL = "(none)"

# Where the bins begin, but for the first; whole hundredths, as confidence and shares come.
CONFIDENCE = (0.4, 0.6, 0.8, 0.9, 0.97)
WORDS = (5, 10, 20, 50, 100, 250)
UNKNOWN = (0.02, 0.05, 0.1, 0.2, 0.4)


@dataclass
class Target:
    """What was answered for one target.

    Attributes:
        labels: how many texts got each.
        confidence: how many texts had which, in hundredths.
        review: how many texts a person should look at; None: this model has no triage.
    """

    labels: Counter[str] = field(default_factory=Counter)
    confidence: Counter[int] = field(default_factory=Counter)
    review: int | None = None


@dataclass
class Counts:
    """What was answered to some texts.

    Attributes:
        texts: how many.
        targets: by name.
        words: how many texts have how many.
        unknown: how many texts have which share of words that training did not know, in hundredths; empty
            where nobody knows.
    """

    texts: int = 0
    targets: dict[str, Target] = field(default_factory=dict)
    words: Counter[int] = field(default_factory=Counter)
    unknown: Counter[int] = field(default_factory=Counter)

    def add(self, content: Mapping[str, Any]) -> Self:
        """Adds the content of one line or file.

        Raises:
            ValueError: it is none.
        """
        try:
            if content["version"] != VERSION:
                raise ValueError("another version")
            parts = [_target(each) for each in content["targets"].values()]
            texts, words = int(content["texts"]), _counter(content.get("words", {}))
            unknown = _counter(content.get("unknown", {}))
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise ValueError(f"expected what a model answered (version {VERSION}), got {error!r}") from None
        self.texts += texts
        self.words += words
        self.unknown += unknown
        for name, part in zip(content["targets"], parts, strict=True):
            ours = self.targets.setdefault(name, Target())
            ours.labels += part.labels
            ours.confidence += part.confidence
            if part.review is not None:
                ours.review = (ours.review or 0) + part.review
        return self


def of_line(message: str) -> dict[str, Any] | None:
    """What a line of a container's log says; None for any other line.

    Whatever stands before the marker is the inference container's: a time, a level, the worker's name.
    """
    _, marker, rest = message.partition(MARKER)
    if not marker:
        return None
    try:
        content = json.loads(rest)
    except ValueError:
        return None
    return content if isinstance(content, dict) else None


def hundredths(bounds: Sequence[float]) -> list[int]:
    """Bounds of shares in the unit in which they are counted."""
    return [round(100 * bound) for bound in bounds]


def binned(values: Mapping[int, int], bounds: Sequence[int]) -> list[int]:
    """How many of the values fall into each bin."""
    counts = [0] * (len(bounds) + 1)
    for value, count in values.items():
        counts[bisect.bisect_right(bounds, value)] += count
    return counts


def bin_names(bounds: Sequence[float]) -> list[str]:
    """What the bins are called: `0-0.4`, …, `0.97-`; in the order of the bins."""
    return [
        f"{low:g}-{high}" for low, high in zip((0, *bounds), (*(f"{b:g}" for b in bounds), ""), strict=True)
    ]


def _target(content: Mapping[str, Any]) -> Target:
    review = content.get("review")
    labels = Counter({str(label): int(count) for label, count in content["labels"].items()})
    return Target(labels, _counter(content["confidence"]), None if review is None else int(review))


def _counter(content: Mapping[str, Any]) -> Counter[int]:
    return Counter({int(value): int(count) for value, count in content.items()})


def spread(values: Mapping[int, int], most: int) -> list[int]:
    """The values, each as often as it was counted; of more than `most`, so many that are spread alike."""
    total = sum(values.values())
    if total <= most:
        return sorted(_each(values))
    ordered = sorted(values.items())
    below, chosen, index = ordered[0][1], [], 0
    for number in range(most):
        rank = (2 * number + 1) * total / (2 * most)  # the middle of each of `most` equal parts
        while below < rank:
            index += 1
            below += ordered[index][1]
        chosen.append(ordered[index][0])
    return chosen


def _each(values: Mapping[int, int]) -> Iterable[int]:
    for value, count in values.items():
        yield from [value] * count
