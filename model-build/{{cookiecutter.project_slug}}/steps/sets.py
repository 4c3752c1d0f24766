"""The sets: which row goes to which, and their Parquet files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from failure import StepError
from intake import SCHEMA, Intake
from preprocess_settings import Settings
from selection import Selection
from splits import SETS, TEST, TRAIN, Deal, Groups, allocate, assign_groups
from textstats import TextStatistics
from wording import listed

Array = npt.NDArray[Any]

WRITE_ROWS, WRITE_BYTES = 65_536, 8 << 20  # a row group of Parquet is written when either is reached


def draw(data: Intake, selection: Selection, settings: Settings, scratch: Path) -> Array:
    """Return the set of each row as an array on disk: 0 for none, else 1 more than the index of ``SETS``.

    Raises:
        StepError: a class is too rare to be in every set.
    """
    sets = np.memmap(scratch / "sets", np.uint8, "w+", shape=(data.rows + 1,))
    fractions = settings.fractions
    drawn = sum(fraction > 0 for fraction in fractions)
    _check_rare(selection.totals, "texts", drawn, selection.labels)
    table = allocate(selection.totals, fractions)
    if settings.columns.group is None:
        deal = Deal(table)
        for records in selection.kept:
            sets[records["row"]] = deal.sets_of(selection.index[records["label"]]) + 1
        return sets
    groups = Groups.gather(
        (records["group"], selection.index[records["label"]]) for records in selection.kept
    )
    _check_rare(
        np.bincount(groups.label, minlength=len(selection.labels)),
        f"groups by {settings.columns.group!r}",
        drawn,
        selection.labels,
    )
    assigned = assign_groups(groups, table)
    counts = np.zeros_like(table)
    for records in selection.kept:
        chosen = assigned[np.searchsorted(groups.names, records["group"])]
        sets[records["row"]] = chosen + 1
        np.add.at(counts, (selection.index[records["label"]], chosen), 1)
    selection.groups = len(groups.names)
    _check_groups(counts, table, settings.columns.group, selection)
    return sets


def _check_rare(counts: Array, what: str, drawn: int, labels: list[str]) -> None:
    rare = [f"{labels[index]!r} ({counts[index]})" for index in np.flatnonzero(counts < drawn)]
    if rare:
        raise StepError(
            f"expected at least {drawn} {what} of each class, one for each set that is drawn, found fewer of "
            f"{listed(rare)}; add texts, merge the class with another, or remove its rows"
        )


def _check_groups(counts: Array, table: Array, column: str, selection: Selection) -> None:
    """Refuse sets that whole groups cannot fill, and warn of those they fill badly."""
    absent = {
        index: [
            selection.labels[row] for row in np.flatnonzero((counts[:, index] == 0) & (table[:, index] > 0))
        ]
        for index in range(3)
    }
    if absent[TRAIN] or (counts.sum(axis=0) == 0)[table.any(axis=0)].any():
        raise StepError(
            f"data.group_column: expected groups by {column!r} small enough that every class is in train and "
            f"no set is empty, found the sets {dict(zip(SETS, counts.sum(axis=0).tolist(), strict=True))}"
            + (f" and no text in train of {listed(absent[TRAIN])}" if absent[TRAIN] else "")
        )
    for index, name in enumerate(SETS):
        if absent[index]:
            selection.warnings.append(
                f"{name} has no text of {listed([*map(repr, absent[index])])}: the groups are too large"
            )
        have, want = int(counts[:, index].sum()), int(table[:, index].sum())
        if abs(have - want) > 0.2 * want:
            selection.warnings.append(
                f"{name} has {have:,} texts instead of {want:,}: the groups by {column!r} are too large"
            )


def write_sets(
    data: Intake, test: Intake | None, selection: Selection, sets: Array, scratch: Path
) -> list[tuple[TextStatistics, Array]]:
    """Write each set as Parquet into the scratch folder; return its statistics and texts of each class."""
    writers = [
        SetWriter(scratch / f"{name}.parquet", selection.index, len(selection.labels)) for name in SETS
    ]
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

    def __init__(self, path: Path, index: Array, labels: int) -> None:
        """Write labels as ``index`` maps them."""
        # Nearly every text is different, so a dictionary would only cost time.
        self._writer = pq.ParquetWriter(
            path, SCHEMA, use_dictionary=["label"], write_statistics=["label", "row"]
        )
        self._index = index
        self._waiting: list[pa.RecordBatch] = []
        self._rows = self._bytes = 0
        self._counts = np.zeros(labels, np.int64)
        self._statistics = TextStatistics()

    def add(self, batch: pa.RecordBatch) -> None:
        """Add rows of ``SCHEMA``."""
        labels = self._index[batch.column("label").to_numpy()]
        self._counts += np.bincount(labels, minlength=len(self._counts))
        self._statistics.add(batch.column("text"))
        self._waiting.append(
            pa.record_batch(
                [batch.column("text"), pa.array(labels, pa.int32()), batch.column("row")], schema=SCHEMA
            )
        )
        self._rows += len(batch)
        self._bytes += batch.nbytes
        if self._rows >= WRITE_ROWS or self._bytes >= WRITE_BYTES:
            self._flush()

    def close(self) -> tuple[TextStatistics, Array]:
        """Write what is waiting; return the statistics of the texts and the number of texts of each class."""
        self._flush()
        self._writer.close()
        return self._statistics, self._counts

    def _flush(self) -> None:
        self._writer.write_table(pa.Table.from_batches(self._waiting, SCHEMA))
        self._waiting, self._rows, self._bytes = [], 0, 0
