"""Data files as batches of strings: CSV and JSON Lines, plain or gzip, in a declared encoding, and Parquet.

No value is guessed at: the label ``007`` stays ``007``, and ``N/A`` and ``null`` stay text. Memory is bounded by one block of
one file, however large the files are.
"""

from __future__ import annotations

import codecs
import csv
import difflib
import gzip
import hashlib
import io
import json
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from failure import StepError
from texts import clean
from wording import listed, shorten

FORMATS = {".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "jsonl", ".parquet": "parquet"}
BLOCK = 1 << 20  # bytes parsed at a time. Arrow reads up to 32 blocks ahead, and this is what bounds its memory
LONGEST_ROW = 16 << 20  # bytes; also the block for a CSV file with rows longer than BLOCK
BATCH_ROWS = 65_536
_UTF8 = ("utf-8", "utf-8-sig")


@dataclass(frozen=True)
class DataFile:
    """A file of the input: where it is, its name below the input folder, and its format (a value of ``FORMATS``)."""

    path: Path
    name: str
    format: str


def find_files(place: Path, format: str = "auto") -> list[DataFile]:
    """Return the data files in a folder and the folders below it, sorted by name; or the one file that ``place`` is.

    Names that begin with a dot or an underscore (``_SUCCESS``) are left out, as Spark and Hive do.

    Raises:
        StepError: nothing is there, or with ``auto`` a file's name does not tell its format.
    """
    if place.is_file():
        found = {place.name: place}
    else:
        below = ((path.relative_to(place), path) for path in place.rglob("*") if path.is_file())
        found = {name.as_posix(): path for name, path in below if not any(part[0] in "._" for part in name.parts)}
    if not found:
        raise StepError(f"{place}: expected data files ({', '.join(FORMATS)}, or .gz of the first four), found none")
    return [DataFile(found[name], name, _format_of(name) if format == "auto" else format) for name in sorted(found)]


def _format_of(name: str) -> str:
    try:
        return FORMATS[Path(name.lower().removesuffix(".gz")).suffix]
    except KeyError:
        raise StepError(
            f"{name}: the name does not tell the format; expected {', '.join(FORMATS)} (or .gz): rename or remove the file, "
            "or declare data.format in config/model.yaml"
        ) from None


def content_hash(files: Sequence[DataFile]) -> str:
    """Return the SHA-256, in hexadecimal, of the files' own SHA-256 digests in the order of their names."""
    whole = hashlib.sha256()
    for file in files:
        with file.path.open("rb") as stream:
            whole.update(hashlib.file_digest(stream, "sha256").digest())
    return whole.hexdigest()


def read(file: DataFile, columns: Sequence[str], encoding: str = "utf-8") -> Iterator[list[pa.Array]]:
    """Yield batches of a file: one array of strings for each of the columns, ``None`` for a missing value.

    An empty field of a CSV file is an empty string. A file with no bytes, or with nothing but a header, yields nothing.
    Blank lines are no rows.

    Raises:
        StepError: the file cannot be read so, with its name and, where it is known, the row (counted from 1, the header
            left out), line or byte.
    """
    try:
        "".encode(encoding)
    except LookupError:
        raise StepError(f"data.encoding: expected an encoding that Python knows (utf-8, windows-1252), got {encoding!r}") from None
    reader = {"csv": _read_csv, "jsonl": _read_jsonl, "parquet": _read_parquet}[file.format]
    if file.path.stat().st_size == 0:
        return
    try:
        yield from reader(file, columns, encoding)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise StepError(f"{file.name}: expected a whole gzip file: {error}; upload the file again") from None
    except pa.ArrowInvalid as error:
        if "UTF8" in str(error):
            for _ in _Utf8(file, "utf-8"):  # raises at the first byte that is wrong, which Arrow does not tell
                pass
        raise StepError(f"{file.name}: cannot be read as {file.format}: {error}") from None


# ------------------------------------------------------------------------------------------------------------------ bytes


def _open(file: DataFile) -> BinaryIO:
    """Open a file as it is, or unpack it when its name ends in .gz."""
    return cast(BinaryIO, gzip.open(file.path)) if file.name.lower().endswith(".gz") else file.path.open("rb")


class _Utf8(io.RawIOBase):
    """A file of any encoding read as UTF-8, without a byte order mark; it knows the line and byte of a wrong character."""

    def __init__(self, file: DataFile, encoding: str) -> None:
        self._file, self._encoding = file, encoding
        self._stream = _open(file)
        self._decoder = codecs.getincrementaldecoder(encoding)()
        self._ready = b""
        self._offset = 0  # bytes handed to the decoder so far
        self._line = 1

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._ready:
            data = self._stream.read(1 << 20)
            if not self._decode(data):
                return 0
        count = min(len(buffer), len(self._ready))
        buffer[:count], self._ready = self._ready[:count], self._ready[count:]
        return count

    def _decode(self, data: bytes) -> bool:
        """Add the data to what is ready; false at the end of the file."""
        pending = len(self._decoder.getstate()[0])  # bytes of a character that was cut by the last read
        try:
            text = self._decoder.decode(data, final=not data)
        except UnicodeDecodeError as error:
            line = self._line + error.object[: error.start].decode(self._encoding, "replace").count("\n")
            offset = self._offset - pending + error.start
            raise StepError(_wrong_byte(self._file, self._encoding, line, offset, error)) from None
        if self._offset == 0:
            text = text.removeprefix("\ufeff")
        self._offset += len(data)
        self._line += text.count("\n")
        self._ready = text.encode("utf-8", "replace")
        return bool(data)

    def close(self) -> None:
        self._stream.close()
        super().close()


def _wrong_byte(file: DataFile, encoding: str, line: int, offset: int, error: UnicodeDecodeError) -> str:
    with _open(file) as stream:
        start = stream.read(4)
    advice = "declare the encoding that the file was saved in, for example windows-1252"
    if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        advice = "the file begins with the byte order mark of UTF-16: declare utf-16"
    where = "unpacked " if file.name.lower().endswith(".gz") else ""
    wrong = " ".join(f"0x{byte:02x}" for byte in error.object[error.start : error.start + 4])
    return (
        f"{file.name}: line {line:,}, {where}byte {offset:,}: expected {encoding}, found {wrong} ({error.reason}); "
        f"data.encoding in config/model.yaml: {advice}"
    )


def _open_utf8(file: DataFile, encoding: str) -> BinaryIO:
    if codecs.lookup(encoding).name in _UTF8:
        return _open(file)
    with _open(file) as stream:
        if stream.read(3) == codecs.BOM_UTF8:
            raise StepError(f"{file.name}: expected {encoding}, found the byte order mark of UTF-8; declare data.encoding: utf-8")
    return io.BufferedReader(_Utf8(file, encoding), 1 << 20)


# -------------------------------------------------------------------------------------------------------------------- CSV


class _QuoteCount(io.RawIOBase):
    """Passes a stream on and counts its double quotes."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.count = 0

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        data = self._stream.read(size)
        self.count += data.count(b'"')
        return data


class _LongRow(Exception):
    """A row is longer than the block."""


def _read_csv(file: DataFile, columns: Sequence[str], encoding: str) -> Iterator[list[pa.Array]]:
    header = _csv_header(file, encoding)
    if header is None:
        return
    check_columns(file.name, header, columns)
    given = 0
    for block in (BLOCK, LONGEST_ROW):
        try:
            for arrays in _after(given, _csv_blocks(file, columns, encoding, header, block)):
                given += len(arrays[0])
                yield arrays
            return
        except _LongRow:
            continue
    row = _unclosed_row(file, encoding)
    what = f"row {row:,} begins a quoted value that never ends" if row else "shorten it, or use Parquet"
    raise StepError(f"{file.name}: a row after row {given:,} is longer than {LONGEST_ROW >> 20} MiB; {what}")


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

    with _open_utf8(file, encoding) as stream:
        counted = _QuoteCount(stream)
        try:
            reader = pyarrow.csv.open_csv(
                counted,
                # One thread: only then does Arrow know the number of a row that it refuses. It is as fast.
                pyarrow.csv.ReadOptions(block_size=block, use_threads=False),
                pyarrow.csv.ParseOptions(newlines_in_values=True, invalid_row_handler=refuse),
                pyarrow.csv.ConvertOptions(
                    column_types=dict.fromkeys(columns, pa.string()), include_columns=list(columns), strings_can_be_null=False
                ),
            )
            for batch in reader:
                yield batch.columns
        except pa.ArrowInvalid as error:
            if ragged:
                raise StepError(_ragged(file, ragged[0], header)) from None
            if "straddling" in str(error):
                raise _LongRow from None
            raise
    # Arrow takes a quote that is never closed for the rest of the file, silently. The count is odd then (and with a
    # measure in inches, say, so this is only the sign to look closer).
    if counted.count % 2 and (row := _unclosed_row(file, encoding)):
        raise StepError(f"{file.name}: row {row:,}: a quoted value begins here and never ends; close the quote, or double it")


def _csv_header(file: DataFile, encoding: str) -> list[str] | None:
    """Return the names in the first line, or None when no row follows it."""
    with io.TextIOWrapper(_open_utf8(file, encoding), "utf-8-sig", "replace", newline="") as text:
        lines = iter(lambda: text.readline(1 << 20), "")
        header = next((row for row in csv.reader(lines) if row), None)
        rest = iter(lambda: text.read(1 << 16), "")
        return header if any(part.strip("\r\n") for part in rest) else None


def _ragged(file: DataFile, row: Any, header: list[str]) -> str:
    number = f"row {row.number - 1:,}: " if row.number else ""  # Arrow counts the header as row 1
    open_quote = " (is a quote left open?)" if "\n" in row.text.strip() else ""
    return (
        f"{file.name}: {number}expected {row.expected_columns} values ({listed(header)}), found {row.actual_columns}"
        f"{open_quote}: {shorten(row.text)}; put values that hold a comma, a quote or a line break in double quotes"
    )


def _unclosed_row(file: DataFile, encoding: str) -> int | None:
    """Return the row in which a quoted value begins that does not end, or None."""
    end = "\x00end of the file\x00"
    limit = csv.field_size_limit(1 << 31 - 1)
    try:
        with io.TextIOWrapper(_open_utf8(file, encoding), "utf-8-sig", "replace", newline="") as text:
            number, last = 0, [end]
            rows = (row for row in csv.reader(_followed_by(text, end)) if row)
            for number, last in enumerate(rows):
                pass
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


# ------------------------------------------------------------------------------------------------------------- JSON Lines


def _read_jsonl(file: DataFile, columns: Sequence[str], encoding: str) -> Iterator[list[pa.Array]]:
    # Numbers are kept as they are written: 1.0 is not 1.
    decode = json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=str).decode
    values: list[list[str | None]] = [[] for _ in columns]
    seen: dict[str, None] | None = {}  # the keys of the first batch, in their order
    size = 0
    with _open_utf8(file, encoding) as raw, io.BufferedReader(cast(io.RawIOBase, raw), 1 << 20) as stream:
        for number, line in enumerate(iter(lambda: stream.readline(LONGEST_ROW + 1), b""), 1):
            if len(line) > LONGEST_ROW:
                raise StepError(f"{file.name}: line {number:,} is longer than {LONGEST_ROW >> 20} MiB; put one JSON object on a line")
            record = _json_object(file, number, line, decode)
            if record is None:
                continue
            if seen is not None:
                seen.update(dict.fromkeys(record))
            for column, found in zip(columns, values, strict=True):
                value = record.get(column)
                found.append(value if value is None or value.__class__ is str else _as_text(value, file, number, column))
            size += len(line)
            if size >= BLOCK or len(values[0]) >= BATCH_ROWS:
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
        raise pa.ArrowInvalid("not UTF8") from None  # read() finds the byte
    except (json.JSONDecodeError, RecursionError) as error:
        raise StepError(f"{file.name}: line {number:,}: expected a JSON object: {error}: {shorten(text)}") from None
    if record is None and not text or isinstance(record, dict):
        return record
    what = "an array" if isinstance(record, list) else shorten(text)
    raise StepError(f"{file.name}: line {number:,}: expected a JSON object on each line, found {what}; write one object on a line")


def _as_text(value: Any, file: DataFile, number: int, column: str) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    kind = "an array" if isinstance(value, list) else "an object"
    raise StepError(f"{file.name}: line {number:,}: {column}: expected text or a number, found {kind}")


def _check_keys(file: DataFile, seen: dict[str, None] | None, columns: Sequence[str]) -> None:
    """Refuse a column that no record of the first batch has; a key that some records lack is a missing value."""
    if seen is not None:
        check_columns(file.name, list(seen), columns)


def _strings(values: list[str | None]) -> pa.Array:
    try:
        return pa.array(values, pa.string())
    except UnicodeEncodeError:  # half of a surrogate pair, written as \ud83d
        return pa.array([None if value is None else clean(value) for value in values], pa.string())


# ---------------------------------------------------------------------------------------------------------------- Parquet


def _read_parquet(file: DataFile, columns: Sequence[str], encoding: str) -> Iterator[list[pa.Array]]:
    # A buffer: without one Arrow holds the whole column of a row group, which may be the whole file.
    with pq.ParquetFile(file.path, buffer_size=1 << 20, pre_buffer=False) as table:
        check_columns(file.name, table.schema_arrow.names, columns)
        for column in columns:
            if pa.types.is_nested(kind := table.schema_arrow.field(column).type):
                raise StepError(f"{file.name}: {column}: expected text or a number, found {kind}")
        for batch in table.iter_batches(BATCH_ROWS // 8, columns=list(dict.fromkeys(columns))):
            yield [pc.cast(batch.column(column), pa.string()) for column in columns]


# ---------------------------------------------------------------------------------------------------------------- columns


def check_columns(name: str, found: Sequence[str], wanted: Sequence[str]) -> None:
    """Refuse a file that lacks a wanted column, or has it twice.

    Raises:
        StepError: with the columns found and, where one is close, a suggestion.
    """
    for column in wanted:
        if found.count(column) > 1:
            raise StepError(f"{name}: expected one column {column!r}, found {found.count(column)}; rename one of them")
        if column not in found:
            raise StepError(f"{name}: expected a column {column!r}, found {listed([*map(repr, found)], 20)}{_suggest(column, found)}")


def _suggest(column: str, found: Sequence[str]) -> str:
    if any("\0" in name for name in found):
        return "; the file looks like UTF-16: declare data.encoding: utf-16"
    if len(found) == 1 and (sign := next((sign for sign in ";\t|" if sign in found[0]), None)):
        return f"; the values seem to be separated by {sign!r}: save the file with commas"
    folded = {name.strip().casefold(): name for name in found}
    close = difflib.get_close_matches(column.strip().casefold(), folded, 1)
    return f"; did you mean {folded[close[0]]!r}?" if close else ""
