"""CSV files as batches of strings: fast by Arrow, with the row named when something is wrong."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.csv

from columns import check_columns
from failure import StepError
from files import DataFile, open_utf8
from wording import listed, shorten

# Bytes parsed at a time. Arrow reads up to 32 blocks ahead, and this is what bounds its memory: a file with
# longer rows has blocks of four times that, or of its longest row.
BLOCK = 1 << 18
LONGEST_ROW = 16 << 20
BATCH = 1 << 20  # bytes that are passed on at a time, at least


class _Plain(io.RawIOBase):
    """Passes a stream of UTF-8 on without NUL characters, and counts its double quotes.

    A NUL has no meaning in a text (``texts.clean``), and some versions of Arrow lose a comma after one.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.count = 0

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        while data := self._stream.read(size):
            self.count += data.count(b'"')
            if kept := data.replace(b"\0", b""):
                return kept
        return b""


class _LongRow(Exception):
    """A row is longer than the block."""


def read_csv(file: DataFile, columns: Sequence[str], encoding: str) -> Iterator[list[pa.Array]]:
    """Yield batches of a CSV file, as ``readers.read`` says."""
    header = _csv_header(file, encoding)
    if header is None:
        return
    check_columns(file.name, header, columns)
    given = 0
    for block in (BLOCK, min(4 * BLOCK, LONGEST_ROW), LONGEST_ROW):
        try:
            for arrays in _after(given, _joined(_csv_blocks(file, columns, encoding, header, block))):
                given += len(arrays[0])
                yield arrays
            return
        except _LongRow:
            continue
    row = _unclosed_row(file, encoding)
    what = f"row {row:,} begins a quoted value that never ends" if row else "shorten it, or use Parquet"
    raise StepError(f"{file.name}: a row after row {given:,} is longer than {LONGEST_ROW >> 20} MiB; {what}")


def _joined(blocks: Iterator[list[pa.Array]]) -> Iterator[list[pa.Array]]:
    """Join small blocks, as each batch takes its time in the steps that follow."""
    waiting: list[list[pa.Array]] = []
    size = 0
    for arrays in blocks:
        waiting.append(arrays)
        size += sum(array.nbytes for array in arrays)
        if size >= BATCH:
            yield [pa.concat_arrays(parts) for parts in zip(*waiting, strict=True)]
            waiting, size = [], 0
    if waiting:
        yield [pa.concat_arrays(parts) for parts in zip(*waiting, strict=True)]


def _after(rows: int, batches: Iterator[list[pa.Array]]) -> Iterator[list[pa.Array]]:
    """Leave out the first rows."""
    for arrays in batches:
        skip = min(rows, len(arrays[0]))
        rows -= skip
        if skip < len(arrays[0]):
            yield [array.slice(skip) for array in arrays]


def _csv_blocks(
    file: DataFile, columns: Sequence[str], encoding: str, header: list[str], block: int
) -> Iterator[list[pa.Array]]:
    ragged: list[Any] = []

    def refuse(row: Any) -> str:
        ragged.append(row)
        return "error"

    with open_utf8(file, encoding) as stream:
        plain = _Plain(stream)
        try:
            with pyarrow.csv.open_csv(
                plain,
                # One thread: only then does Arrow know the number of a row that it refuses. It is as fast.
                pyarrow.csv.ReadOptions(block_size=block, use_threads=False),
                pyarrow.csv.ParseOptions(newlines_in_values=True, invalid_row_handler=refuse),
                pyarrow.csv.ConvertOptions(
                    column_types=dict.fromkeys(columns, pa.string()),
                    include_columns=list(columns),
                    strings_can_be_null=False,
                ),
            ) as reader:
                for batch in reader:
                    yield batch.columns
        except pa.ArrowInvalid as error:
            if ragged:
                raise StepError(_ragged(file, ragged[0], header)) from None
            if "straddling" in str(error):
                raise _LongRow from None
            raise
    # Arrow takes a quote that is never closed for the rest of the file, silently. The count is odd then (and
    # with a measure in inches, say, so this is only the sign to look closer).
    if plain.count % 2 and (row := _unclosed_row(file, encoding)):
        raise StepError(
            f"{file.name}: row {row:,}: a quoted value begins here and never ends; close the quote"
        )


def _csv_header(file: DataFile, encoding: str) -> list[str] | None:
    """Return the names in the first line, or None when no row follows it."""
    with io.TextIOWrapper(open_utf8(file, encoding), "utf-8-sig", "replace", newline="") as text:
        lines = iter(lambda: text.readline(1 << 20), "")
        header = next((row for row in csv.reader(lines) if row), None)
        rest = iter(lambda: text.read(1 << 16), "")
        return header if any(part.strip("\r\n") for part in rest) else None


def _ragged(file: DataFile, row: Any, header: list[str]) -> str:
    number = f"row {row.number - 1:,}: " if row.number else ""  # Arrow counts the header as row 1
    open_quote = " (is a quote left open?)" if "\n" in row.text.strip() else ""
    return (
        f"{file.name}: {number}expected {row.expected_columns} values ({listed(header)}), "
        f"found {row.actual_columns}{open_quote}: {shorten(row.text)}; "
        "put values that hold a comma, a quote or a line break in double quotes"
    )


def _unclosed_row(file: DataFile, encoding: str) -> int | None:
    """Return the row in which a quoted value begins that does not end, or None."""
    end = "\x00end of the file\x00"
    limit = csv.field_size_limit(1 << 31 - 1)
    try:
        with io.TextIOWrapper(open_utf8(file, encoding), "utf-8-sig", "replace", newline="") as text:
            number, last = -1, [end]
            rows = (row for row in csv.reader(_followed_by(text, end)) if row)
            for row in rows:
                number, last = number + 1, row
    finally:
        csv.field_size_limit(limit)
    return None if last == [end] else number


def _followed_by(lines: Iterator[str], end: str) -> Iterator[str]:
    last = "\n"
    for last in lines:
        yield last
    if not last.endswith(("\n", "\r")):
        yield "\n"
    yield end
