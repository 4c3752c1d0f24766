"""What texts are divided by: one answer to all targets is a stratum.

With one target of kind ``one`` a stratum is a class, and splits.py divides each class exactly. With several
targets, or several labels, the strata are the combinations of labels that occur. There may be more of them
than a set has texts, so no division holds for every stratum. The common part of each is divided exactly, and
what is left goes, the texts with the rarest labels first, where each of their labels is wanted most (after
Sechidis et al., 2011, "On the stratification of multi-label data").
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from data.intake import Answer
from data.splits import Deal, Groups, place_large, repair
from serving.targets import Target

Array = npt.NDArray[Any]

PASSES = 4
"""How often the place of each text is chosen: more changes next to nothing."""


class Strata(NamedTuple):
    """The strata of a selection, in the order of their answers.

    ``columns`` and ``bounds`` say which columns each stratum has: those of the head (serving/targets.py), and
    after them one for each target of kind ``several``, for the texts without any of its labels.

    Attributes:
        targets: with the labels that occur, sorted.
        answers: of each stratum.
        totals: texts of each stratum, shape (strata,).
        columns: of the first stratum, then of the second, and so on.
        bounds: where each stratum's columns begin and end, shape (strata + 1,).
    """

    targets: tuple[Target, ...]
    answers: list[Answer]
    totals: Array
    columns: Array
    bounds: Array

    @classmethod
    def of(cls, targets: tuple[Target, ...], answers: list[Answer], totals: Array) -> Strata:
        """Return the strata that these answers make."""
        starts = np.cumsum([0, *(len(target.labels) for target in targets)]).tolist()
        several = [index for index, target in enumerate(targets) if target.kind == "several"]
        without = {index: starts[-1] + place for place, index in enumerate(several)}
        rows = [
            [
                column
                for index, ids in enumerate(answer)
                for column in ([starts[index] + each for each in ids] or [without[index]])
            ]
            for answer in answers
        ]
        columns = np.array([column for row in rows for column in row], np.int64)
        return cls(targets, answers, totals, columns, np.cumsum([0, *map(len, rows)]))

    @property
    def plain(self) -> bool:
        """Whether strata are the classes of one target."""
        return len(self.targets) == 1 and self.targets[0].kind == "one"

    @property
    def labels(self) -> int:
        """Number of labels: of the columns before those of texts without label."""
        return sum(len(target.labels) for target in self.targets)

    @property
    def width(self) -> int:
        """Number of columns."""
        return self.labels + sum(target.kind == "several" for target in self.targets)

    def spread(self, counts: Array) -> Array:
        """Return counts of each column, given those of each stratum, of shape (strata, …)."""
        result = np.zeros((self.width, *counts.shape[1:]), counts.dtype)
        np.add.at(result, self.columns, np.repeat(counts, np.diff(self.bounds), axis=0))
        return result

    def columns_of(self, stratum: int) -> list[int]:
        """Return the columns of one stratum."""
        columns: list[int] = self.columns[self.bounds[stratum] : self.bounds[stratum + 1]].tolist()
        return columns

    def widened(self, groups: Groups) -> Groups:
        """Return groups over strata as groups over columns."""
        strata = groups.label
        repeats = np.diff(self.bounds)[strata]
        first = np.repeat(self.bounds[:-1][strata] - np.r_[0, np.cumsum(repeats)[:-1]], repeats)
        columns = self.columns[first + np.arange(len(first))]
        return groups.relabelled(np.repeat(groups.group, repeats), columns, np.repeat(groups.texts, repeats))


class Division:
    """A division of texts over the sets, as it grows: what each set has, and what it is to have."""

    def __init__(self, strata: Strata, fractions: Sequence[float]) -> None:
        """Begin with nothing divided; each column is wanted in the proportion of the fractions."""
        self.strata = strata
        self.fractions = np.asarray(fractions)
        self.wanted = np.outer(strata.spread(strata.totals), self.fractions)
        self.sizes = strata.totals.sum() * self.fractions
        self.have = np.zeros_like(self.wanted)
        self.held = np.zeros(len(self.fractions))

    def deal(self, counts: Array) -> Array:
        """Return how many texts of each stratum go to each set, shape (strata, 3); counts them as had.

        Args:
            counts: texts of each stratum that are to be divided.
        """
        quota = np.floor(counts[:, None] * self._shares() + 1e-9).astype(np.int64)
        self.have += self.strata.spread(quota)
        self.held += quota.sum(axis=0)
        left = counts - quota.sum(axis=1)
        rarity = np.minimum.reduceat(self.strata.spread(counts)[self.strata.columns], self.strata.bounds[:-1])
        waiting = np.repeat(np.arange(len(left)), left)
        waiting = waiting[np.argsort(rarity[waiting], kind="stable")]
        chosen = self._place([self.strata.columns_of(stratum) for stratum in waiting.tolist()])
        np.add.at(quota, (waiting, np.array(chosen, np.int64)), 1)
        return quota

    def _place(self, texts: list[list[int]]) -> list[int]:
        """Return a set for each text, given its columns; counts them as had.

        They are placed one after the other where they add least to the squared distance from what is wanted
        relative to it (chi-square), over the columns and over the texts as a whole; then each is looked at
        again, as those that came after it may have made another set the better one.
        """
        drawn = np.flatnonzero(self.fractions > 0).tolist()
        # Lists, and the texts as a whole as one more column: Python's own numbers are faster one by one.
        wanted = np.concatenate([self.wanted, self.sizes[None]]).T.tolist()
        have = np.concatenate([self.have, self.held[None]]).T.tolist()
        chosen = [-1] * len(texts)
        for _ in range(PASSES):
            moved = False
            for number, columns in enumerate(texts):
                before = chosen[number]
                each = [*columns, -1]
                if before >= 0:
                    for column in each:
                        have[before][column] -= 1
                costs = [
                    sum(
                        [
                            (1 + 2 * (have[index][column] - wanted[index][column])) / wanted[index][column]
                            for column in each
                        ]
                    )
                    for index in drawn
                ]
                best = drawn[costs.index(min(costs))]
                if before >= 0 and costs[drawn.index(before)] <= min(costs) + 1e-9:
                    best = before
                for column in each:
                    have[best][column] += 1
                chosen[number] = best
                moved = moved or best != before
            if not moved:
                break
        self.have, self.held = np.array(have).T[:-1], np.array(have).T[-1]
        return chosen

    def _shares(self) -> Array:
        """Return each stratum's shares of the sets: the mean of what its columns still lack in each."""
        missing = np.maximum(self.wanted - self.have, 0)
        total = missing.sum(axis=1, keepdims=True)
        shares = np.where(total > 0, missing / np.maximum(total, 1e-9), self.fractions)
        lengths = np.diff(self.strata.bounds)
        sums = np.add.reduceat(shares[self.strata.columns], self.strata.bounds[:-1], axis=0)
        result: Array = sums / lengths[:, None]
        return result


def divide(strata: Strata, fractions: Sequence[float]) -> Array:
    """Return how many texts of each stratum go to each set, shape (strata, 3).

    Every set that is drawn has a text of every label, if moving single texts can bring that about.
    """
    division = Division(strata, fractions)
    quota = division.deal(strata.totals)
    have = division.have[: strata.labels].astype(np.int64)
    for column, wanting in np.argwhere((have == 0) & (np.asarray(fractions) > 0)).tolist():
        _move_one(strata, quota, have, column, wanting)
    return quota


def _move_one(strata: Strata, quota: Array, have: Array, column: int, wanting: int) -> None:
    """Move a text with a label to the set that lacks it, from one that keeps all of the text's labels."""
    holders = np.searchsorted(strata.bounds, np.flatnonzero(strata.columns == column), side="right") - 1
    best: tuple[int, int, int] | None = None
    for stratum in holders.tolist():
        labels = [each for each in strata.columns_of(stratum) if each < strata.labels]
        for source in np.flatnonzero(quota[stratum]).tolist():
            least = int(have[labels, source].min())
            if least > 1 and (best is None or least > best[0]):
                best = least, stratum, source
    if best:
        _, stratum, source = best
        labels = [each for each in strata.columns_of(stratum) if each < strata.labels]
        quota[stratum, [source, wanting]] += [-1, 1]
        have[labels, source] -= 1
        have[labels, wanting] += 1


def assign_groups(groups: Groups, strata: Strata, fractions: Sequence[float]) -> Array:
    """Return the set of each group, as ``splits.assign_groups`` does for the classes of one target.

    Args:
        groups: over strata.
        strata: of the texts.
        fractions: of ``SETS``.
    """
    wide, sizes = strata.widened(groups), groups.sizes()
    division = Division(strata, fractions)
    result = np.zeros(len(groups.names), np.uint8)
    place_large(wide, sizes, division.wanted, division.sizes, division.have, result)
    large = sizes > 1
    division.held += np.bincount(result[large], sizes[large], len(division.held))
    single = sizes[groups.group] == 1
    alone = groups.label[single]
    quota = division.deal(np.bincount(alone, minlength=len(strata.answers)))
    result[groups.group[single]] = Deal(quota).sets_of(alone)
    wanted = division.wanted[: strata.labels]
    labels = wide.relabelled(*(each[wide.label < strata.labels] for each in wide[1:]))
    repair(labels, sizes, wanted, division.have[: strata.labels], result)
    return result


def label_name(targets: Sequence[Target], column: int) -> str:
    """Return a label as messages name it: ``'gas'``, or of several targets ``sentiment 'good'``."""
    for target in targets:
        if column < len(target.labels):
            label = repr(target.labels[column])
            return label if len(targets) == 1 else f"{target.name} {label}"
        column -= len(target.labels)
    raise IndexError(column)
