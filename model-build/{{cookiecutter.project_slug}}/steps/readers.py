"""Data files as batches of strings: CSV and JSON Lines, plain or gzip, in a declared encoding, and Parquet.

No value is guessed at: the label ``007`` stays ``007``, and ``N/A`` and ``null`` stay text. Memory is bounded
by one block of one file, however large the files are.
"""

from __future__ import annotations

import codecs
import gzip
import io
import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from columns import check_columns
from csv_files import LONGEST_ROW, read_csv
from failure import StepError
from files import DataFile, open_utf8, refuse_wrong_bytes
from texts import clean
from wording import shorten

BATCH_ROWS, BATCH_BYTES = 65_536, 1 << 20


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
