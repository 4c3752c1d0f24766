"""The sets: which row goes to which, their Parquet files, and statistics of their texts.

The statistics hold for any language, and are gathered batch by batch in memory that does not grow.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from data.hashes import string_buffers
from data.intake import Intake
from data.selection import Selection
from data.settings import Settings
from data.splits import (
    SETS,
    TEST,
    TRAIN,
    Deal,
    Groups,
    Strata,
    allocate,
    assign_groups,
    assign_groups_by_strata,
    divide,
    label_name,
)
from failure import StepError, listed
from serving.targets import field_names

Array = npt.NDArray[Any]

WRITE_ROWS, WRITE_BYTES = 65_536, 8 << 20  # a row group of Parquet is written when either is reached

LONGEST = 1 << 20  # lengths above this are counted as this; the largest is kept as it is

QUANTILES = {"p05": 0.05, "p25": 0.25, "p50": 0.5, "p75": 0.75, "p95": 0.95, "p99": 0.99}


def draw(data: Intake, selection: Selection, settings: Settings, scratch: Path) -> Array:
    """Return the set of each row as an array on disk: 0 for none, else 1 more than the index of ``SETS``.

    Raises:
        StepError: a class is too rare to be in every set.
    """
    sets = np.memmap(scratch / "sets", np.uint8, "w+", shape=(data.rows + 1,))
    strata, fractions = selection.strata, settings.fractions
    drawn = sum(fraction > 0 for fraction in fractions)
    _check_rare(strata.spread(strata.totals), "texts", drawn, strata)
    table = allocate(strata.totals, fractions) if strata.plain else None
    if settings.columns.group is None:
        if table is None:
            table = divide(strata, fractions)
            _check_complete(strata, table, fractions)
        deal = Deal(table)
        for records in selection.kept:
            sets[records["row"]] = deal.sets_of(selection.index[records["label"]]) + 1
        return sets
    groups = Groups.gather(
        (records["group"], selection.index[records["label"]]) for records in selection.kept
    )
    of_column = np.bincount(strata.widened(groups).label, minlength=strata.width)
    _check_rare(of_column, f"groups by {settings.columns.group!r}", drawn, strata)
    assigned = (
        assign_groups_by_strata(groups, strata, fractions) if table is None else assign_groups(groups, table)
    )
    counts = np.zeros((len(strata.totals), len(SETS)), np.int64)
    for records in selection.kept:
        chosen = assigned[np.searchsorted(groups.names, records["group"])]
        sets[records["row"]] = chosen + 1
        np.add.at(counts, (selection.index[records["label"]], chosen), 1)
    selection.groups = len(groups.names)
    fair = np.rint(strata.totals.sum() * np.asarray(fractions)) if table is None else table.sum(axis=0)
    _check_groups(counts, fair, settings.columns.group, selection)
    return sets


def _check_rare(counts: Array, what: str, drawn: int, strata: Strata) -> None:
    """Refuse a label with fewer than ``drawn``, given the counts of each column."""
    few = np.flatnonzero(counts[: strata.labels] < drawn).tolist()
    if few:
        rare = [f"{label_name(strata.targets, column)} ({counts[column]})" for column in few]
        raise StepError(
            f"expected at least {drawn} {what} of each class, one for each set that is drawn, found fewer of "
            f"{listed(rare)}; add texts, merge the class with another, or remove its rows"
        )


def _check_complete(strata: Strata, table: Array, fractions: tuple[float, float, float]) -> None:
    """Refuse a division of the strata that leaves a set without a label."""
    have = strata.spread(table)[: strata.labels]
    for column, index in np.argwhere((have == 0) & (np.asarray(fractions) > 0)).tolist():
        raise StepError(
            "expected a text of each class in each set, found no division that puts one of "
            f"{label_name(strata.targets, column)} into {SETS[index]}, as its few texts are also those of "
            "other classes; add texts, merge the class with another, or remove its rows"
        )


def _check_groups(strata_counts: Array, wanted: Array, column: str, selection: Selection) -> None:
    """Refuse sets that whole groups cannot fill, and warn of those they fill badly.

    Args:
        strata_counts: texts of each stratum in each set.
        wanted: texts that each set should have.
        column: of the groups.
        selection: gets the warnings.
    """
    strata, drawn = selection.strata, wanted > 0
    counts, sizes = strata.spread(strata_counts)[: strata.labels], strata_counts.sum(axis=0)
    absent = {
        index: [label_name(strata.targets, row) for row in np.flatnonzero(counts[:, index] == 0).tolist()]
        for index in np.flatnonzero(drawn).tolist()
    }
    if absent[TRAIN] or (sizes == 0)[drawn].any():
        raise StepError(
            f"data.group_column: expected groups by {column!r} small enough that every class is in train and "
            f"no set is empty, found the sets {dict(zip(SETS, sizes.tolist(), strict=True))}"
            + (f" and no text in train of {listed(absent[TRAIN])}" if absent[TRAIN] else "")
        )
    for index, labels in absent.items():
        if labels:
            selection.warnings.append(
                f"{SETS[index]} has no text of {listed(labels)}: the groups are too large"
            )
        have, want = int(sizes[index]), int(wanted[index])
        if abs(have - want) > 0.2 * want:
            text = f"{SETS[index]} has {have:,} texts instead of {want:,}"
            selection.warnings.append(f"{text}: the groups by {column!r} are too large")


def write_sets(
    data: Intake, test: Intake | None, selection: Selection, sets: Array, scratch: Path
) -> list[tuple[TextStatistics, Array]]:
    """Write each set as Parquet into the scratch folder; return its statistics and texts of each stratum."""
    writers = [SetWriter(scratch / f"{name}.parquet", selection.index, selection.strata) for name in SETS]
    for batch in data.batches():
        chosen = sets[batch.column("row").to_numpy()]
        for index, writer in enumerate(writers):
            writer.add(batch.filter(pa.array(chosen == index + 1)))
    if test and selection.test:
        stays = np.memmap(scratch / "test-sets", np.uint8, "w+", shape=(test.rows + 1,))
        for records in selection.test:
            stays[records["row"]] = 1
        for batch in test.batches():
            writers[TEST].add(batch.filter(pa.array(stays[batch.column("row").to_numpy()] == 1)))
    return [writer.close() for writer in writers]


class SetWriter:
    """Writes one set as Parquet, in row groups of a good size, and gathers its statistics."""

    def __init__(self, path: Path, index: Array, strata: Strata) -> None:
        """Write the labels of the strata that ``index`` maps answers to; examples.py says the columns."""
        fields = field_names(strata.targets, "label")
        self._ids = [
            pa.array([ids[0] for ids in each], pa.int32())
            if target.kind == "one"
            else pa.array([list(ids) for ids in each], pa.list_(pa.int32()))
            for target, each in zip(strata.targets, zip(*strata.answers, strict=True), strict=True)
        ]
        types = [(field, ids.type) for field, ids in zip(fields, self._ids, strict=True)]
        self._schema = pa.schema([("text", pa.string()), *types, ("row", pa.int64())])
        numbers = [name for name, kind in types if pa.types.is_integer(kind)]
        # Nearly every text is different, so a dictionary would only cost time.
        self._writer = pq.ParquetWriter(
            path, self._schema, use_dictionary=numbers, write_statistics=[*numbers, "row"]
        )
        self._index = index
        self._waiting: list[pa.RecordBatch] = []
        self._rows = self._bytes = 0
        self._counts = np.zeros(len(strata.answers), np.int64)
        self._statistics = TextStatistics()

    def add(self, batch: pa.RecordBatch) -> None:
        """Add rows of ``SCHEMA``."""
        strata = self._index[batch.column("label").to_numpy()]
        self._counts += np.bincount(strata, minlength=len(self._counts))
        self._statistics.add(batch.column("text"))
        labels = [ids.take(pa.array(strata)) for ids in self._ids]
        self._waiting.append(
            pa.record_batch([batch.column("text"), *labels, batch.column("row")], schema=self._schema)
        )
        self._rows += len(batch)
        self._bytes += batch.nbytes
        if self._rows >= WRITE_ROWS or self._bytes >= WRITE_BYTES:
            self._flush()

    def close(self) -> tuple[TextStatistics, Array]:
        """Write what is waiting; return the statistics of the texts and how many each stratum has."""
        self._flush()
        self._writer.close()
        return self._statistics, self._counts

    def _flush(self) -> None:
        self._writer.write_table(pa.Table.from_batches(self._waiting, self._schema))
        self._waiting, self._rows, self._bytes = [], 0, 0


class Lengths:
    """How often each length occurs."""

    def __init__(self) -> None:
        """Begin with none."""
        self._counts = np.zeros(1, np.int64)
        self._sum = 0
        self._max = 0

    def add(self, lengths: Array) -> None:
        """Count lengths, at least one."""
        self._sum += int(lengths.sum())
        self._max = max(self._max, int(lengths.max()))
        counts = np.bincount(np.minimum(lengths, LONGEST))
        if len(counts) > len(self._counts):
            self._counts = np.pad(self._counts, (0, len(counts) - len(self._counts)))
        self._counts[: len(counts)] += counts

    def summary(self) -> dict[str, float]:
        """Return mean, minimum, quantiles (nearest rank) and maximum; empty when nothing was counted."""
        below = np.cumsum(self._counts)
        if not (total := int(below[-1])):
            return {}
        quantiles = {name: int(np.searchsorted(below, np.ceil(q * total))) for name, q in QUANTILES.items()}
        return {
            "mean": round(self._sum / total, 2),
            "min": int(np.flatnonzero(self._counts)[0]),
            **quantiles,
            "max": self._max,
        }


class TextStatistics:
    """Lengths in characters and words (runs without ASCII white space), and shares of kinds of characters."""

    def __init__(self) -> None:
        """Begin with no text."""
        self.texts = 0
        self._characters, self._words = Lengths(), Lengths()
        self._total = self._non_ascii = self._digits = self._line_breaks = self._with_line_break = 0

    def add(self, texts: pa.Array) -> None:
        """Count an array of strings, none of them empty."""
        if not len(texts):
            return
        data, bounds = string_buffers(texts)
        characters = pc.utf8_length(texts).to_numpy(zero_copy_only=False)
        breaks = np.flatnonzero(data == ord("\n"))
        self.texts += len(texts)
        self._characters.add(characters)
        self._words.add(_words(data, bounds))
        self._total += int(characters.sum())
        self._non_ascii += int(np.count_nonzero(data >= 0xC0))  # first bytes of characters of several bytes
        self._digits += int(np.count_nonzero((data >= ord("0")) & (data <= ord("9"))))
        self._line_breaks += len(breaks)
        self._with_line_break += len(np.unique(np.searchsorted(bounds, breaks, side="right")))

    def summary(self) -> dict[str, Any]:
        """Return the statistics, ready for JSON."""
        return {
            "texts": self.texts,
            "characters": self._characters.summary(),
            "words": self._words.summary(),
            "non_ascii_share": _share(self._non_ascii, self._total),
            "digit_share": _share(self._digits, self._total),
            "line_breaks_per_text": _share(self._line_breaks, self.texts),
            "texts_with_line_break_share": _share(self._with_line_break, self.texts),
        }


def _words(data: Array, bounds: Array) -> Array:
    """Return the number of words of each text: bytes above the space that follow a space or begin a text."""
    inside = data > ord(" ")
    begins = inside.copy()
    begins[1:] &= ~inside[:-1]
    begins[bounds[:-1]] = inside[bounds[:-1]]
    return np.add.reduceat(begins.view(np.uint8), bounds[:-1], dtype=np.int32)


def _share(part: int, whole: int) -> float:
    return round(part / whole, 4) if whole else 0.0
