"""The one pass over the input: rows become cleaned texts with their labels, in files that are quick to read.

What is needed of a row afterwards lies on disk: its text in an Arrow file, its hash in a bucket
(hashes.py). All labels of a row, one target's or several targets', are one number (``Labels``). A row
without text, or with text and without the label of a target, goes no further than being counted.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from data.files import DataFile
from data.hashes import RECORD, Buckets, text_hashes
from data.readers import read
from data.settings import Columns, TargetColumn
from failure import StepError
from serving.texts import SEPARATORS, WHITESPACE, Redactor, clean

Array = npt.NDArray[Any]
Answer = tuple[tuple[int, ...], ...]
"""For each target the numbers of its labels: one, or any number of them in ascending order."""

SCHEMA = pa.schema([("text", pa.string()), ("label", pa.int32()), ("row", pa.int64())])
MOST_LABELS = 10_000
SHOWN = 5  # rows of each kind in an error message


class Labels:
    """Numbers for the answers that rows have: the labels of all targets together, in the order first seen.

    Attributes:
        targets: what is answered.
        names: labels of each target, in the order first seen.
        answers: for each number the answer: of each target the positions of its labels in ``names``.
    """

    def __init__(self, targets: Sequence[TargetColumn]) -> None:
        """Begin with none."""
        self.targets = targets
        self.names: list[list[str]] = [[] for _ in targets]
        self.answers: list[Answer] = []
        self._positions: list[dict[str, int]] = [{} for _ in targets]
        self._numbers: dict[Answer, int] = {}

    def numbers(self, values: Sequence[pa.Array]) -> Array:
        """Return the number of each row's answer, given an array of cleaned strings for each target."""
        encoded = [array.dictionary_encode() for array in values]
        cells = [
            [self._cell(index, value) for value in array.dictionary.to_pylist()]
            for index, array in enumerate(encoded)
        ]
        codes = [array.indices.to_numpy(zero_copy_only=False) for array in encoded]
        if len(values) == 1:
            numbers = np.array([self._number((cell,)) for cell in cells[0]], np.int32)
            result: Array = numbers[codes[0]]
            return result
        rows = codes[0].astype(np.int64)
        for code, distinct in zip(
            codes[1:], cells[1:], strict=True
        ):  # re-numbered, so that nothing overflows
            rows = np.unique(rows * max(1, len(distinct)) + code, return_inverse=True)[1]
        _, first, rows = np.unique(rows, return_index=True, return_inverse=True)
        numbers = np.empty(len(first), np.int32)
        for place in np.argsort(first):
            row = first[place]
            numbers[place] = self._number(tuple(cells[index][code[row]] for index, code in enumerate(codes)))
        return numbers[rows]

    def show(self, number: int) -> str:
        """Return an answer for a message."""
        shown = []
        for target, names, positions in zip(self.targets, self.names, self.answers[number], strict=True):
            labels = ", ".join(repr(names[position]) for position in positions) or "no label"
            shown.append(labels if len(self.targets) == 1 else f"{target.name} {labels}")
        return ", ".join(shown)

    def _number(self, answer: Answer) -> int:
        number = self._numbers.setdefault(answer, len(self.answers))
        if number == len(self.answers):
            self.answers.append(answer)
        return number

    def _cell(self, index: int, value: str) -> tuple[int, ...]:
        """Return the positions of the labels in one cell, ascending."""
        target = self.targets[index]
        if target.separator is None:
            return (self._position(index, value),)
        labels = [label for part in value.split(target.separator) if (label := clean(part))]
        return tuple(sorted({self._position(index, label) for label in labels}))

    def _position(self, index: int, label: str) -> int:
        names = self.names[index]
        position = self._positions[index].setdefault(label, len(names))
        if position == len(names):
            names.append(label)
            if len(names) > MOST_LABELS:
                target = self.targets[index]
                what = "name the column that holds the label"
                if target.separator is not None:
                    what = f"name the column that holds the labels, separated by {target.separator!r}"
                raise StepError(
                    f"{target.key}: expected classes, found more than {MOST_LABELS:,} values in "
                    f"{target.column!r}; {what}"
                )
        return position


class Intake:
    """The rows of one input, numbered from 1 over the files in the order of their names."""

    def __init__(self, folder: Path, redactor: Redactor | None = None) -> None:
        """Keep the rows in the folder, which is made; of texts, what the redactor leaves."""
        folder.mkdir()
        self.redactor = redactor
        self._texts = folder / "texts.arrow"
        self.buckets = Buckets(folder / "buckets")
        self.files: list[tuple[DataFile, int]] = []  # with their number of rows
        self.rows = 0
        self.empty = 0
        self.unlabelled = 0
        self.first_unlabelled: list[tuple[int, str, str]] = []  # row, columns without label, text
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
        targets = [target.column for target in columns.targets]
        names = [*columns.text, *targets, *([columns.group] if columns.group else [])]
        lists = {each.column: each.separator for each in columns.targets if each.separator is not None}
        progress = Progress(say)
        with pa.OSFile(str(self._texts), "wb") as out, pa.ipc.new_stream(out, SCHEMA) as stream:
            for number, file in enumerate(files, 1):
                before = self.rows
                for arrays in read(file, names, columns.encoding, lists):
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
        if self.redactor:
            texts = pa.array([self.redactor(text) for text in texts.to_pylist()], pa.string())
        values = [clean_array(each) for each in arrays[len(columns.text) :][: len(columns.targets)]]
        rows = np.arange(self.rows + 1, self.rows + 1 + len(texts))
        self.rows += len(texts)

        with_text = pc.not_equal(texts, "")
        good, given = with_text, {}
        for target, array in zip(columns.targets, values, strict=True):
            if target.kind == "one":
                given[target.column] = pc.not_equal(array, "")
                good = pc.and_(good, given[target.column])
        kept = len(texts) if good.true_count == len(texts) else good.true_count
        self.empty += len(texts) - with_text.true_count
        self.unlabelled += with_text.true_count - kept
        if len(self.first_unlabelled) < SHOWN and kept < with_text.true_count:
            bad = np.flatnonzero(_mask(pc.and_not(with_text, good)))[: SHOWN - len(self.first_unlabelled)]
            for place in bad.tolist():
                lacking = [repr(name) for name, has in given.items() if not has[place].as_py()]
                self.first_unlabelled.append((int(rows[place]), ", ".join(lacking), texts[place].as_py()))
        if kept < len(texts):
            texts, rows = texts.filter(good), rows[_mask(good)]
            values = [array.filter(good) for array in values]

        records = np.zeros(len(texts), RECORD)
        records["row"] = rows
        records["label"] = numbers = labels.numbers(values)
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
