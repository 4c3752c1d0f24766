"""Train, validation and test: how many texts of each class go where, and which.

With one target of kind ``one`` every class is divided exactly, within rounding. With groups (the messages of
one conversation) a group goes as a whole to the set that still wants its classes most, the largest first.

One answer to all targets is a stratum. With several targets, or several labels, the strata are the
combinations of labels that occur. There may be more of them than a set has texts, so no division holds for
every stratum. The common part of each is divided exactly, and what is left goes, the texts with the rarest
labels first, where each of their labels is wanted most (after Sechidis et al., 2011, "On the stratification
of multi-label data").
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from data.intake import Answer
from serving.targets import Target

Array = npt.NDArray[Any]

SETS = ("train", "validation", "test")
TRAIN, VALIDATION, TEST = range(3)

PASSES = 4
"""How often the place of each text is chosen: more changes next to nothing."""


def allocate(totals: Array, fractions: tuple[float, float, float]) -> Array:
    """Return how many texts of each class go to each set, of shape (classes, 3).

    The sums over the classes are the fractions of all texts, and each class's share is within one or two
    texts of its own fraction. A set with a fraction above 0 gets at least one text of every class, taken from
    the class's largest set.

    Args:
        totals: texts of each class, at least as many as there are sets with a fraction above 0.
        fractions: of ``SETS``; their sum is 1.
    """
    held_out = fractions[VALIDATION] + fractions[TEST]
    held = _rounded(totals * held_out, round(totals.sum() * held_out))
    # Test is a part of what is held out: rounded by itself, a class could be rounded up in both sets.
    share = fractions[TEST] / held_out if held_out else 0.0
    test = _rounded(held * share, round(totals.sum() * fractions[TEST]))
    table = np.stack([totals - held, held - test, test], axis=1).astype(np.int64)
    for counts in table:
        for column in np.flatnonzero((counts == 0) & (np.asarray(fractions) > 0)):
            counts[counts.argmax()] -= 1
            counts[column] = 1
    return table


def _rounded(exact: Array, total: int) -> Array:
    """Round down, then up where the remainder is largest, so that the sum is the total."""
    whole = np.floor(exact + 1e-9).astype(np.int64)
    largest = np.argsort(whole - exact, kind="stable")
    room = largest[exact[largest] - whole[largest] > 1e-9]
    whole[room[: max(0, total - int(whole.sum()))]] += 1
    return whole


class Deal:
    """Deals single texts out to the sets, by their rank within the class in the order of their hash."""

    def __init__(self, table: Array) -> None:
        """Deal by a table of ``allocate``."""
        self._bounds = np.stack([table[:, TEST], table[:, TEST] + table[:, VALIDATION]], axis=1)
        self._dealt = np.zeros(len(table), np.int64)

    def sets_of(self, labels: Array) -> Array:
        """Return the set of each of the next texts, given their classes, as an index of ``SETS``."""
        rank = self._dealt[labels] + ranks(labels)
        self._dealt += np.bincount(labels, minlength=len(self._dealt))
        bounds = self._bounds[labels]
        return np.select([rank < bounds[:, 0], rank < bounds[:, 1]], [TEST, VALIDATION], TRAIN).astype(
            np.uint8
        )


def ranks(labels: Array) -> Array:
    """Return how many of the elements before each one are equal to it."""
    order = np.argsort(labels, kind="stable")
    ordered = labels[order]
    begins = np.searchsorted(ordered, ordered)
    result = np.empty(len(labels), np.int64)
    result[order] = np.arange(len(labels)) - begins
    return result


class Groups(NamedTuple):
    """Which classes the groups hold: one entry for each group and class, sorted by group, then class."""

    names: Array  # (groups,) hashes, ascending
    group: Array  # (entries,) index into names
    label: Array  # (entries,)
    texts: Array  # (entries,) how many

    @classmethod
    def gather(cls, parts: Iterable[tuple[Array, Array]]) -> Groups:
        """Count the texts of (hashes of groups, classes)."""
        pairs = [_counted(names, labels, np.ones(len(names), np.int64)) for names, labels in parts]
        columns = (np.concatenate(column) for column in zip(*pairs, strict=True))
        names, label, count = _counted(*columns)
        unique, group = np.unique(names, return_inverse=True)
        return cls(unique, group, label, count)

    def sizes(self) -> Array:
        """Return the number of texts of each group."""
        return np.bincount(self.group, self.texts, len(self.names)).astype(np.int64)

    def relabelled(self, group: Array, label: Array, texts: Array) -> Groups:
        """Return the same groups with other entries, of which those of one group and class become one."""
        return Groups(self.names, *_counted(group, label, texts))


def _counted(names: Array, labels: Array, counts: Array) -> tuple[Array, Array, Array]:
    order = np.lexsort((labels, names))
    names, labels, counts = names[order], labels[order], counts[order]
    first = np.r_[True, (names[1:] != names[:-1]) | (labels[1:] != labels[:-1])][: len(names)]
    begins = np.flatnonzero(first)
    return names[begins], labels[begins], np.add.reduceat(counts, begins) if len(begins) else counts


def assign_groups(groups: Groups, table: Array) -> Array:
    """Return the set of each group (index of ``SETS``), as near to the table of ``allocate`` as can be.

    Groups of several texts are placed one after the other, the largest first, where they add least to the
    squared distance from the table relative to it (chi-square), over the classes and over the texts as a
    whole. Groups of one text then fill each class up exactly. At the end a set that still lacks a class gets
    the smallest group that another can do without.
    """
    have, sizes = np.zeros_like(table), groups.sizes()
    result = np.zeros(len(groups.names), np.uint8)
    place_large(groups, sizes, table, table.sum(axis=0), have, result)
    _fill_with_single(groups, table, have, result)
    repair(groups, sizes, table, have, result)
    return result


def place_large(
    groups: Groups, sizes: Array, table: Array, totals: Array, have: Array, result: Array
) -> None:
    """Place the groups of several texts; adds to what the sets ``have``, and writes into ``result``.

    Args:
        groups: over classes, or over the labels of several targets.
        sizes: texts of each group.
        table: how many texts each set is to have of each class, shape (classes, 3).
        totals: how many texts each set is to have, shape (3,).
        have: what each set has of each class.
        result: the set of each group.
    """
    large = np.flatnonzero(sizes > 1)
    large = large[np.argsort(-sizes[large], kind="stable")]
    begins = np.searchsorted(groups.group, large).tolist()
    ends = np.searchsorted(groups.group, large, side="right").tolist()
    labels, counts = groups.label, groups.texts
    sets = [index for index in range(3) if table[:, index].any()]
    # Lists: Python's own numbers are faster one by one.
    wanted, held = table.T.tolist(), [[0] * len(table) for _ in SETS]
    wanted_all, held_all = totals.tolist(), [0, 0, 0]
    for group, begin, end, size in zip(large.tolist(), begins, ends, sizes[large].tolist(), strict=True):
        items = list(zip(labels[begin:end].tolist(), counts[begin:end].tolist(), strict=True))
        best, least = 0, float("inf")
        for index in sets:
            want, has = wanted[index], held[index]
            cost = size * (size + 2 * (held_all[index] - wanted_all[index])) / wanted_all[index]
            for label, count in items:
                cost += count * (count + 2 * (has[label] - want[label])) / want[label]
            if cost < least:
                best, least = index, cost
        result[group] = best
        held_all[best] += size
        for label, count in items:
            held[best][label] += count
    have += np.array(held).T


def _fill_with_single(groups: Groups, table: Array, have: Array, result: Array) -> None:
    single = groups.sizes()[groups.group] == 1
    labels = groups.label[single]
    missing = np.maximum(table - have, 0)
    # What test and validation lack comes first, the rest is for train: the sum of what is missing may be more
    # than there is.
    sets = Deal(missing).sets_of(labels)
    result[groups.group[single]] = sets
    np.add.at(have, (labels, sets), 1)


def repair(groups: Groups, sizes: Array, table: Array, have: Array, result: Array) -> None:
    """Give each set that lacks a class the smallest group that another can do without; as ``place_large``."""
    for label, wanting in np.argwhere((have == 0) & (table > 0)).tolist():
        holders = groups.group[groups.label == label]
        for group in holders[np.argsort(sizes[holders], kind="stable")].tolist():
            entries = slice(*np.searchsorted(groups.group, [group, group + 1]))
            moved, source = np.zeros(len(table), table.dtype), int(result[group])
            moved[groups.label[entries]] = groups.texts[entries]
            if ((moved == 0) | (have[:, source] > moved)).all():
                have[:, source] -= moved
                have[:, wanting] += moved
                result[group] = wanting
                break


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


def assign_groups_by_strata(groups: Groups, strata: Strata, fractions: Sequence[float]) -> Array:
    """Return the set of each group, as ``assign_groups`` does for the classes of one target.

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
