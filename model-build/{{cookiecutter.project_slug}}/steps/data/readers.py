"""Data files as batches of strings: CSV and JSON Lines, plain or gzip, in a declared encoding, and Parquet.

No value is guessed at: the label ``007`` stays ``007``, and ``N/A`` and ``null`` stay text. Memory is bounded
by one block of one file, however large the files are. CSV is read by Arrow, which is fast, and by Python
where something is wrong, to name the row.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, BinaryIO, cast

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from data.files import DataFile, check_columns, open_utf8, refuse_wrong_bytes
from failure import StepError, listed, shorten
from serving.texts import clean

BATCH_ROWS, BATCH_BYTES = 65_536, 1 << 20

# Bytes parsed at a time. Arrow reads up to 32 blocks ahead, and this is what bounds its memory: a file with
# longer rows has blocks of four times that, or of its longest row.
BLOCK = 1 << 18

LONGEST_ROW = 16 << 20

BATCH = 1 << 20  # bytes that are passed on at a time, at least


def read(
    file: DataFile, columns: Sequence[str], encoding: str = "utf-8", lists: Mapping[str, str] | None = None
) -> Iterator[list[pa.Array]]:
    """Yield batches of a file: one array of strings for each of the columns, ``None`` for a missing value.

    An empty field of a CSV file is an empty string. A file with no bytes, or with nothing but a header,
    yields nothing. Blank lines are no rows.

    Args:
        file: to read.
        columns: to return, in this order.
        encoding: of CSV and JSON Lines.
        lists: columns that may hold a list of texts (an array in JSON Lines, a list in Parquet) in place of a
            text, with the separator that they are joined by.

    Raises:
        StepError: the file cannot be read so, with its name and, where it is known, the row (counted from 1,
            the header left out), line or byte.
    """
    try:
        "".encode(encoding)
    except LookupError:
        raise StepError(
            f"data.encoding: expected an encoding that Python knows (utf-8, windows-1252), got {encoding!r}"
        ) from None
    readers = {"csv": _read_csv, "jsonl": _read_jsonl, "parquet": _read_parquet}
    reader = readers[file.format]
    if file.path.stat().st_size == 0:
        return
    try:
        yield from reader(file, columns, encoding, lists or {})
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise StepError(f"{file.name}: expected a whole gzip file: {error}; upload the file again") from None
    except pa.ArrowException as error:
        if "UTF8" in str(error) and file.format != "parquet":
            refuse_wrong_bytes(file)
        raise StepError(f"{file.name}: cannot be read as {file.format}: {error}") from None
    except OSError as error:
        if error.errno:
            raise
        raise StepError(
            f"{file.name}: cannot be read as {file.format}: {error}"
        ) from None  # a damaged Parquet file


def _read_csv(
    file: DataFile, columns: Sequence[str], encoding: str, _: Mapping[str, str]
) -> Iterator[list[pa.Array]]:
    yield from read_csv(file, columns, encoding)


def _read_jsonl(
    file: DataFile, columns: Sequence[str], encoding: str, lists: Mapping[str, str]
) -> Iterator[list[pa.Array]]:
    # Numbers are kept as they are written: 1.0 is not 1.
    decode = json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=str).decode
    values: list[list[str | None]] = [[] for _ in columns]
    seen: dict[str, None] | None = {}  # the keys of the first batch, in their order
    size = 0
    with open_utf8(file, encoding) as raw, io.BufferedReader(cast(io.RawIOBase, raw), 1 << 20) as stream:
        for number, line in enumerate(iter(lambda: stream.readline(LONGEST_ROW + 1), b""), 1):
            if len(line) > LONGEST_ROW:
                found_size = f"longer than {LONGEST_ROW >> 20} MiB"
                raise StepError(f"{file.name}: line {number:,} is {found_size}; write one object on a line")
            record = _json_object(file, number, line, decode)
            if record is None:
                continue
            if seen is not None:
                seen.update(dict.fromkeys(record))
            for column, found in zip(columns, values, strict=True):
                value = record.get(column)
                if not (value is None or isinstance(value, str)):
                    value = _as_text(value, f"{file.name}: line {number:,}: {column}", lists.get(column))
                found.append(value)
            size += len(line)
            if size >= BATCH_BYTES or len(values[0]) >= BATCH_ROWS:
                _check_keys(file, seen, columns)
                seen = None
                yield [_strings(found) for found in values]
                values, size = [[] for _ in columns], 0
    if values[0]:
        _check_keys(file, seen, columns)
        yield [_strings(found) for found in values]


def _json_object(file: DataFile, number: int, line: bytes, decode: Any) -> dict[str, Any] | None:
    """Return the object on a line, or None for a blank line."""
    if number == 1:
        line = line.removeprefix(codecs.BOM_UTF8)
    try:
        text = line.decode().strip(" \t\r\n")
        record = decode(text) if text else None
    except UnicodeDecodeError:
        refuse_wrong_bytes(file)
        raise
    except (json.JSONDecodeError, RecursionError) as error:
        raise StepError(
            f"{file.name}: line {number:,}: expected a JSON object: {error}: {shorten(text)}"
        ) from None
    if (record is None and not text) or isinstance(record, dict):
        return record
    what = "an array" if isinstance(record, list) else shorten(text)
    raise StepError(
        f"{file.name}: line {number:,}: expected a JSON object on each line, found {what}; "
        "write one object on a line"
    )


def _as_text(value: Any, where: str, separator: str | None) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list) and separator is not None:
        for each in value:
            if not isinstance(each, str):
                raise StepError(f"{where}: expected an array of texts, found {json.dumps(each)} in it")
            _check_separator(each, separator, where)
        return separator.join(value)
    kind = "an array" if isinstance(value, list) else "an object"
    raise StepError(f"{where}: expected text or a number, found {kind}")


def _check_separator(label: str, separator: str, where: str) -> None:
    if separator in label:
        raise StepError(
            f"{where}: expected labels without the separator {separator!r}, found {label!r}; "
            "choose another separator in config/model.yaml"
        )


def _check_keys(file: DataFile, seen: dict[str, None] | None, columns: Sequence[str]) -> None:
    """Refuse a column that no record of the first batch has; a key that only some lack is a missing value."""
    if seen is not None:
        check_columns(file.name, list(seen), columns)


def _strings(values: list[str | None]) -> pa.Array:
    try:
        return pa.array(values, pa.string())
    except UnicodeEncodeError:  # half of a surrogate pair, written as \ud83d
        return pa.array([None if value is None else clean(value) for value in values], pa.string())


def _read_parquet(
    file: DataFile, columns: Sequence[str], encoding: str, lists: Mapping[str, str]
) -> Iterator[list[pa.Array]]:
    # A buffer: without one Arrow holds the whole column of a row group, which may be the whole file.
    with pq.ParquetFile(file.path, buffer_size=1 << 20, pre_buffer=False) as table:
        check_columns(file.name, table.schema_arrow.names, columns)
        for column in columns:
            kind = table.schema_arrow.field(column).type
            if pa.types.is_nested(kind) and not (column in lists and _of_texts(kind)):
                raise StepError(f"{file.name}: {column}: expected text or a number, found {kind}")
        for batch in table.iter_batches(BATCH_ROWS // 8, columns=list(dict.fromkeys(columns))):
            yield [
                _joined(batch.column(column), lists[column], f"{file.name}: {column}")
                if pa.types.is_nested(batch.column(column).type)
                else pc.cast(batch.column(column), pa.string())
                for column in columns
            ]


def _of_texts(kind: pa.DataType) -> bool:
    return (pa.types.is_list(kind) or pa.types.is_large_list(kind)) and not pa.types.is_nested(
        kind.value_type
    )


def _joined(values: pa.Array, separator: str, where: str) -> pa.Array:
    """Return an array of lists as one of strings."""
    texts = pc.cast(values.flatten(), pa.string())
    if texts.null_count:
        raise StepError(f"{where}: expected lists of texts, found a null in one")
    for label in texts.filter(pc.match_substring(texts, separator)).to_pylist():
        _check_separator(label, separator, where)
    return pc.cast(pc.binary_join(pc.cast(values, pa.list_(pa.string())), separator), pa.string())


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
            for arrays in _after(given, _together(_csv_blocks(file, columns, encoding, header, block))):
                given += len(arrays[0])
                yield arrays
            return
        except _LongRow:
            continue
    row = _unclosed_row(file, encoding)
    what = f"row {row:,} begins a quoted value that never ends" if row else "shorten it, or use Parquet"
    raise StepError(f"{file.name}: a row after row {given:,} is longer than {LONGEST_ROW >> 20} MiB; {what}")


def _together(blocks: Iterator[list[pa.Array]]) -> Iterator[list[pa.Array]]:
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
