"""Whether what is answered now looks like what the model was trained with: pure functions of counts.

The measure is the population stability index (PSI), the sum over bins of (now - then) * ln(now / then) with
the bins' shares. Convention in credit scoring: below 0.1 alike, 0.1 to 0.25 somewhat changed, above that
changed.

Of few texts it is large by chance alone. For samples of n and m texts in b bins that are alike, it is
distributed as (1/n + 1/m) * chi-square with b - 1 degrees of freedom (Yurdakul and Naranjo, "Statistical
properties of the population stability index", 2020). So what counts here is by how much it exceeds what 95 %
of such samples stay below: with many texts that is PSI itself, with few of them it takes more for a verdict.
"""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

_ALMOST = 0.5
"""Is added to each bin's count, so that an empty one has no infinite weight."""


class Finding(NamedTuple):
    """One comparison.

    Attributes:
        target: of the model; "" for what is of the texts themselves.
        feature: labels, confidence, words or unknown_words.
        psi: the population stability index.
        chance: what it would stay below by chance, 95 times of 100.
    """

    target: str
    feature: str
    psi: float
    chance: float

    @property
    def drift(self) -> float:
        """By how much it is more than chance."""
        return max(0.0, self.psi - self.chance)

    @property
    def name(self) -> str:
        """For a person: `sentiment labels`."""
        return f"{self.target} {self.feature.replace('_', ' ')}".strip()


def compare(target: str, feature: str, then: Sequence[float], now: Sequence[float]) -> Finding | None:
    """Compares counts in the same bins; None when one of them is empty."""
    pairs = [(a, b) for a, b in zip(then, now, strict=True) if a or b]
    total_then, total_now = sum(a for a, _ in pairs), sum(b for _, b in pairs)
    if not total_then or not total_now:
        return None
    index = psi([a for a, _ in pairs], [b for _, b in pairs])
    return Finding(target, feature, index, chance(len(pairs), total_then, total_now))


def by_label(target: str, then: Mapping[str, float], now: Mapping[str, float]) -> Finding | None:
    """Compares how often each label occurs."""
    labels = sorted({*then, *now})
    return compare(
        target,
        "labels",
        [then.get(label, 0) for label in labels],
        [now.get(label, 0) for label in labels],
    )


def psi(then: Sequence[float], now: Sequence[float]) -> float:
    """The population stability index of two rows of counts."""
    total_then, total_now = sum(then) + _ALMOST * len(then), sum(now) + _ALMOST * len(now)
    shares = [((a + _ALMOST) / total_then, (b + _ALMOST) / total_now) for a, b in zip(then, now, strict=True)]
    return sum((b - a) * math.log(b / a) for a, b in shares)


def chance(bins: int, then: float, now: float) -> float:
    """What the index of two alike samples stays below, 95 times of 100."""
    freedom = bins - 1
    if freedom < 1:
        return 0.0
    # chi-square's 95 % by Wilson and Hilferty: within 1.5 % for one degree of freedom, closer for more
    part = 2 / (9 * freedom)
    return freedom * (1 - part + 1.645 * math.sqrt(part)) ** 3 * (1 / then + 1 / now)
