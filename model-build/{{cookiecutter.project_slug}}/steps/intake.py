"""The one pass over the input: rows become cleaned texts with a label, in files that are quick to read.

What is needed of a row afterwards lies on disk: its text in an Arrow file, its hash in a bucket
(duplicates.py). A row without text, or with text and no label, goes no further than being counted.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from duplicates import RECORD, Buckets, text_hashes
from failure import StepError
from files import DataFile
from readers import read
from texts import SEPARATORS, WHITESPACE

Array = npt.NDArray[Any]

SCHEMA = pa.schema([("text", pa.string()), ("label", pa.int32()), ("row", pa.int64())])
MOST_LABELS = 10_000
SHOWN = 5  # rows of each kind in an error message


class Columns(NamedTuple):
    """Which columns hold what, and how the files are encoded."""

    text: tuple[str, ...]
    join: str
    label: str
    group: str | None
    encoding: str


class Labels:
    """Numbers for the labels, in the order in which they are first seen."""

    def __init__(self) -> None:
        """Begin with none."""
        self.names: list[str] = []
        self._numbers: dict[str, int] = {}

    def numbers(self, values: pa.Array, column: str) -> Array:
        """Return the number of each label of an array of strings."""
        encoded = values.dictionary_encode()
        distinct = encoded.dictionary.to_pylist()
        for name in distinct:
            if self._numbers.setdefault(name, len(self.names)) == len(self.names):
                self.names.append(name)
        if len(self.names) > MOST_LABELS:
            raise StepError(
                f"data.label_column: expected classes, found more than {MOST_LABELS:,} values in {column!r}; "
                "name the column that holds the label"
            )
        numbers = np.array([self._numbers[name] for name in distinct], np.int32)
        result: Array = numbers[encoded.indices.to_numpy(zero_copy_only=False)]
        return result


class Intake:
    """The rows of one input, numbered from 1 over the files in the order of their names."""

    def __init__(self, folder: Path) -> None:
        """Keep the rows in the folder, which is made."""
        folder.mkdir()
        self._texts = folder / "texts.arrow"
        self.buckets = Buckets(folder / "buckets")
        self.files: list[tuple[DataFile, int]] = []  # with their number of rows
        self.rows = 0
        self.empty = 0
        self.unlabelled = 0
        self.first_unlabelled: list[tuple[int, str]] = []  # row, text
        self.groupless = 0

    def place(self, row: int) -> str:
        """Say where a row is: its file, and its number there from 1, without the header."""
        for file, rows in self.files:
            if row <= rows:
                return f"{file.name} row {row:,}"
            row -= rows
        raise IndexError(row)

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Yield the rows that have a text and a label, in their order, as ``SCHEMA`` says."""
        with pa.OSFile(str(self._texts)) as file, pa.ipc.open_stream(file) as stream:
            yield from stream

    def texts(self, rows: set[int]) -> dict[int, str]:
        """Return the texts of a few rows."""
        found: dict[int, str] = {}
        wanted = pa.array(sorted(rows), pa.int64())
        for batch in self.batches() if rows else ():
            few = batch.filter(pc.is_in(batch.column("row"), value_set=wanted))
            found.update(zip(few.column("row").to_pylist(), few.column("text").to_pylist(), strict=True))
            if len(found) == len(rows):
                break
        return found

    def take_in(
        self,
        files: Sequence[DataFile],
        columns: Columns,
        labels: Labels,
        seed: int,
        say: Callable[[str], None],
    ) -> None:
        """Read the files; ``say`` is told every few seconds how far it is.

        Raises:
            StepError: a file cannot be read as declared.
        """
        names = [*columns.text, columns.label, *([columns.group] if columns.group else [])]
        progress = Progress(say)
        with pa.OSFile(str(self._texts), "wb") as out, pa.ipc.new_stream(out, SCHEMA) as stream:
            for number, file in enumerate(files, 1):
                before = self.rows
                for arrays in read(file, names, columns.encoding):
                    self._add(arrays, columns, labels, seed, stream)
                    progress.report(self.rows, f"file {number:,} of {len(files):,}")
                self.files.append((file, self.rows - before))

    def _add(
        self,
        arrays: list[pa.Array],
        columns: Columns,
        labels: Labels,
        seed: int,
        stream: pa.ipc.RecordBatchWriter,
    ) -> None:
        texts = join_arrays([clean_array(array) for array in arrays[: len(columns.text)]], columns.join)
        names = clean_array(arrays[len(columns.text)])
        rows = np.arange(self.rows + 1, self.rows + 1 + len(texts))
        self.rows += len(texts)

        with_text = pc.not_equal(texts, "")
        good = pc.and_(with_text, pc.not_equal(names, ""))
        kept = len(texts) if good.true_count == len(texts) else good.true_count
        self.empty += len(texts) - with_text.true_count
        self.unlabelled += with_text.true_count - kept
        if len(self.first_unlabelled) < SHOWN and kept < with_text.true_count:
            bad = pc.and_(with_text, pc.equal(names, ""))
            found = zip(rows[_mask(bad)].tolist(), texts.filter(bad).to_pylist(), strict=True)
            self.first_unlabelled += list(found)[: SHOWN - len(self.first_unlabelled)]
        if kept < len(texts):
            texts, names, rows = texts.filter(good), names.filter(good), rows[_mask(good)]

        records = np.zeros(len(texts), RECORD)
        records["row"] = rows
        records["label"] = numbers = labels.numbers(names, columns.label)
        hashes = text_hashes(texts, seed)
        records["high"], records["low"] = hashes[:, 0], hashes[:, 1]
        if columns.group:
            groups = clean_array(arrays[-1])
            records["group"] = self._groups(
                groups if kept == len(groups) else groups.filter(good), seed, hashes[:, 0]
            )
        self.buckets.append(records)
        stream.write_batch(pa.record_batch([texts, pa.array(numbers), pa.array(rows)], schema=SCHEMA))

    def _groups(self, groups: pa.Array, seed: int, alone: Array) -> Array:
        """Return the hash of each row's group; a row without one is a group by itself."""
        encoded = groups.dictionary_encode()
        hashes = text_hashes(encoded.dictionary, seed)[:, 0]
        without = _mask(pc.equal(groups, ""))
        self.groupless += int(without.sum())
        return np.where(without, alone, hashes[encoded.indices.to_numpy(zero_copy_only=False)])


class Progress:
    """Says every few seconds how many rows are done, and how fast."""

    def __init__(self, say: Callable[[str], None], seconds: float = 5.0) -> None:
        """Begin to measure now."""
        self._say, self._seconds = say, seconds
        self._start = self._last = time.monotonic()

    def report(self, rows: int, where: str) -> None:
        """Say it, if it is time to."""
        now = time.monotonic()
        if now - self._last >= self._seconds:
            self._last = now
            self._say(f"{rows:,} rows read, {rows / (now - self._start):,.0f} rows/s, {where}")


def clean_array(values: pa.Array) -> pa.Array:
    """Do to an array of strings what ``texts.clean`` does to one."""
    values = pc.fill_null(values, "")
    data = values.buffers()[2]
    content = np.frombuffer(data, np.uint8) if data is not None else np.empty(0, np.uint8)
    if (content == 0).any():
        values = pc.replace_substring(values, "\0", "")
    if (content == ord("\r")).any():
        values = pc.replace_substring(pc.replace_substring(values, "\r\n", "\n"), "\r", "\n")
    return pc.utf8_trim(values, characters=WHITESPACE)


def join_arrays(parts: Sequence[pa.Array], join: str) -> pa.Array:
    """Do to cleaned columns what ``texts.join_columns`` does to the values of one record."""
    text = parts[0]
    for part in parts[1:]:
        one_is_empty = pc.or_(pc.equal(text, ""), pc.equal(part, ""))
        text = pc.binary_join_element_wise(text, pc.if_else(one_is_empty, "", SEPARATORS[join]), part, "")
    return text


def _mask(values: pa.Array) -> Array:
    mask: Array = values.to_numpy(zero_copy_only=False)
    return mask
