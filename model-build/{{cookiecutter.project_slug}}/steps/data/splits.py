"""Train, validation and test: how many texts of each class go where, and which.

Without groups every class is divided exactly, within rounding. With groups (the messages of one conversation)
a group goes as a whole to the set that still wants its classes most, the largest groups first.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

SETS = ("train", "validation", "test")
TRAIN, VALIDATION, TEST = range(3)


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
    wanted, held = (
        table.T.tolist(),
        [[0] * len(table) for _ in SETS],
    )  # lists: Python's own numbers are faster one by one
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
