"""The result: the rows as they were, the answers beside them, as CSV or JSON Lines, plain or gzip."""

from __future__ import annotations

import gzip
import io
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

from json_lines import dump, to_bytes
from matching import Best

_NEEDS_QUOTES = re.compile('[",\r\n]').search


class Added:
    """What is added to a row.

    Args:
        columns: the names, in their order (``columns.added_columns``).
        version: of the model, for a row that has an answer.
    """

    def __init__(self, columns: Sequence[str], version: int) -> None:
        self.columns = list(columns)
        self.version = version
        self.labels = len(columns) // 2 - 1

    def values(self, best: Best | None, error: str | None) -> list[Any]:
        """Return the values for one row, scores with 6 decimals; None for what there is not."""
        if best is None:
            return [None] * (2 * self.labels + 1) + [error]
        pairs: list[Any] = [part for label, score in best for part in (label, round(score, 6))]
        return pairs + [None] * (2 * (self.labels - len(best))) + [self.version, error]


class CsvResult:
    """Writes CSV (RFC 4180, with LF), beginning with the header.

    Args:
        stream: for the bytes.
        columns: the carried ones. Of a row that has others they are left out.
        added: what follows them.
    """

    def __init__(self, stream: BinaryIO, columns: list[str], added: Added) -> None:
        self._stream, self._columns, self._added = stream, columns, added
        self._nothing = [None] * len(columns)
        self._write(columns + added.columns)

    def add(self, row: dict[str, Any], best: Best | None, error: str | None) -> None:
        """Write a row."""
        values = row["values"] or self._nothing
        if "columns" in row:
            own = dict(zip(row["columns"], values))
            values = [own.get(name) for name in self._columns]
        added = self._added.values(best, error)
        for place in range(1, 2 * self._added.labels, 2):
            if added[place] is not None:
                added[place] = f"{added[place]:.6f}"
        self._write(values + added)

    def _write(self, values: list[Any]) -> None:
        # Not the csv module: before Python 3.13 it leaves a field with CR unquoted when lines end in LF, and
        # that of Python 3.10 cannot write a NUL character.
        line = ",".join([_field(value) for value in values]) + "\n"
        try:
            self._stream.write(line.encode())
        except UnicodeEncodeError:  # half of a surrogate pair, from JSON
            whole = line.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
            self._stream.write(whole.encode())


class JsonResult:
    """Writes JSON Lines: an object for each row, with its own keys and the added ones.

    Args:
        stream: for the bytes.
        columns: the carried ones.
        added: what follows them.
    """

    def __init__(self, stream: BinaryIO, columns: list[str], added: Added) -> None:
        self._stream, self._columns, self._added = stream, columns, added
        self._nothing = [None] * len(columns)

    def add(self, row: dict[str, Any], best: Best | None, error: str | None) -> None:
        """Write a row."""
        record = dict(zip(row.get("columns", self._columns), row["values"] or self._nothing))
        record.update(zip(self._added.columns, self._added.values(best, error)))
        self._stream.write(to_bytes(dump(record) + "\n"))


@contextmanager
def new_file(path: Path, packed: bool) -> Iterator[BinaryIO]:
    """Open a file that is there only when it is complete. The same content gives the same bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    begun = path.with_name(path.name + ".begun")
    try:
        with begun.open("wb", buffering=1 << 20) as file:
            if packed:  # without name and time in it
                member = gzip.GzipFile("", "wb", 6, file, 0)
                with member, io.BufferedWriter(cast(io.RawIOBase, member), 1 << 20) as stream:
                    yield cast(BinaryIO, stream)
            else:
                yield file
        os.replace(begun, path)
    finally:
        begun.unlink(missing_ok=True)


def _field(value: Any) -> str:
    """Return a JSON value as a field of a CSV: text as it is, null as nothing, the others as JSON."""
    if value is None:
        return ""
    text = value if isinstance(value, str) else dump(value)
    if _NEEDS_QUOTES(text):
        text = text.replace('"', '""')
        return f'"{text}"'
    return text
