"""The rows of a CSV or JSON Lines file: what the model is given, what is carried, what is wrong."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import json_lines
from columns import Columns, added_key, carried_of_header, refuse_added, refuse_missing
from csv_rows import Rows
from failure import StepError
from lines import Lines

NO_TEXT = "no text"
"""The error of a row that has nothing to ask about. It is the only one that does not make a row bad."""

OTHER_COLUMNS = 20
"""So many of the names that not all objects of a JSON Lines file have are reported."""

# NUL, every character that `str.isspace` knows (Unicode 16), and two that are invisible as well: the
# zero-width space and the byte order mark. Spelled out as in model-build, so that no version of Python
# decides otherwise.
NOTHING = (
    "\0"
    "\t\n\x0b\x0c\r\x1c\x1d\x1e\x1f \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006"
    "\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000"
    "\u200b\ufeff"
)


class Row(NamedTuple):
    """One row.

    Attributes:
        values: the carried values in their order; empty when the row could not be divided into columns.
        inputs: the text, or with several text columns an object of them, as a client would send it.
        error: why the row is not asked, or None.
        columns: the names of the values, when they are others than those of the file (JSON Lines).
    """

    values: list[Any]
    inputs: Any
    error: str | None
    columns: list[str] | None = None


class CsvReader:
    """The rows of a CSV file, of which the first is the header.

    Attributes:
        columns: the names of the carried values.
        other_columns: none: all rows have the same.

    Raises:
        StepError: the header is not as declared.
    """

    def __init__(self, lines: Lines, columns: Columns, delimiter: str) -> None:
        self._lines = lines
        self._rows = Rows(iter(lines), delimiter, lines.longest)
        self._each = iter(self._rows)
        header = next(self._each, None)
        if header is None:
            raise StepError(
                f"{lines.name}: expected a header with the names of the columns, found blank lines"
            )
        if isinstance(header, str):
            raise StepError(f"{lines.name}: the header is {header}")
        if lines.wrong:
            raise StepError(f"{lines.name}: the header has {_wrong_bytes(lines)}: declare input.encoding")
        if any("\r" in name for name in header):
            raise StepError(f"{lines.name}: the lines end in CR alone: save the file with LF or CRLF")
        self._header: list[str] = header
        self._text = columns.text
        self.columns = carried_of_header(lines.name, header, columns, delimiter)
        self.other_columns: list[str] = []

    def __iter__(self) -> Iterator[Row]:
        """Yield the rows below the header."""
        header, lines = self._header, self._lines
        width, wrong_bytes = len(header), _wrong_bytes(lines)
        carried = None if self.columns == header else [header.index(name) for name in self.columns]
        texts = [header.index(name) for name in self._text]
        first = texts[0]
        for fields in self._each:
            wrong, lines.wrong = lines.wrong, False
            if isinstance(fields, str):
                yield Row([], None, fields + self._over_lines())
                continue
            if len(fields) != width:
                problem = f"expected {width} fields, found {len(fields)}"
                yield Row([], None, problem + self._over_lines())
                continue
            values = fields if carried is None else [fields[place] for place in carried]
            if wrong:
                yield Row(values, None, wrong_bytes)
            elif len(texts) == 1:
                text = fields[first]
                yield Row(values, text, NO_TEXT if is_empty(text) else None)
            else:
                inputs = {header[place]: fields[place] for place in texts}
                yield Row(values, inputs, NO_TEXT if all(map(is_empty, inputs.values())) else None)

    def _over_lines(self) -> str:
        """Tell how much of the file a row took that cannot be used: behind it may be many rows."""
        count = self._rows.lines
        return f", over {count:,} lines (is a quote left open?)" if count > 1 else ""


class JsonReader:
    """The objects of a JSON Lines file.

    Attributes:
        columns: the names of the carried values; when all are carried, the keys of the first object.
        other_columns: when all are carried, the keys that later objects had besides, the first
            ``OTHER_COLUMNS`` of them.
    """

    def __init__(self, lines: Lines, columns: Columns) -> None:
        self._lines = lines
        self._declared = columns
        self.columns = list(columns.carry)
        self.other_columns: list[str] = []

    def __iter__(self) -> Iterator[Row]:
        """Yield a row for each line that is not blank.

        Raises:
            StepError: a declared column occurs nowhere; the first object has a column that is added.
        """
        lines, declared = self._lines, self._declared
        wrong_bytes = _wrong_bytes(lines)
        unseen = {*declared.text, *declared.carry}
        first: list[str] | None = None
        source = iter(lines)
        for line in source:
            too_long = not line.endswith("\n") and _skip_line(source)
            wrong, lines.wrong = lines.wrong, False
            if too_long:
                yield Row([], None, f"longer than {lines.longest >> 20} MiB")
                continue
            text = line.strip(" \t\r\n")
            if not text:
                continue
            try:
                record = json_lines.load(text)
            except ValueError as error:
                yield Row([], None, wrong_bytes if wrong else f"not JSON: {error}")
                continue
            if not isinstance(record, dict):
                yield Row([], None, f"expected an object, found {describe(record)}")
                continue
            if unseen:
                unseen.difference_update(record)
            if first is None:
                first = list(record)
                if not declared.carry:
                    self.columns = first
                refuse_added(lines.name, self.columns, declared.added)
            row = self._row(record)
            yield Row(row.values, None, wrong_bytes, row.columns) if wrong else row
        if first is not None:
            refuse_missing(lines.name, first, list(unseen), declared)

    def _row(self, record: dict[str, Any]) -> Row:
        names = None
        if self._declared.carry:
            values = [record.get(name) for name in self.columns]
        else:
            values = list(record.values())
            if (keys := list(record)) != self.columns:
                names = keys
                if error := added_key(keys, self._declared.added):
                    return Row([], None, error)
                self._remember(keys)
        inputs = {}
        for name in self._declared.text:
            if name not in record:
                return Row(values, None, f'the key "{name}" is missing', names)
            text = record[name]
            if not (text is None or isinstance(text, str)):
                return Row(values, None, f'"{name}": expected text, found {describe(text)}', names)
            inputs[name] = text
        empty = all(text is None or is_empty(text) for text in inputs.values())
        return Row(values, inputs if len(inputs) > 1 else inputs[name], NO_TEXT if empty else None, names)

    def _remember(self, keys: list[str]) -> None:
        for key in keys:
            if key not in self.columns and key not in self.other_columns:
                if len(self.other_columns) == OTHER_COLUMNS:
                    return
                self.other_columns.append(key)


def describe(value: Any) -> str:
    """Say what kind of JSON value that is."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, (int, float)):
        return "a number"
    if isinstance(value, str):
        return "text"
    return "a list" if isinstance(value, list) else "an object"


def is_empty(text: str) -> bool:
    """Say whether nothing is left of the text once the model has cleaned it.

    A model of model-build cleans each text itself, so nothing is cleaned here: what goes to the model is what
    a client would send. But a text of which nothing would be left is not worth asking about.
    """
    return not text.strip(NOTHING)


def _wrong_bytes(lines: Lines) -> str:
    return f"bytes that are not {lines.encoding}"


def _skip_line(pieces: Iterator[str]) -> bool:
    """Go to the end of a line that came in pieces; false when there was no more of it."""
    found = False
    for piece in pieces:
        found = True
        if piece.endswith("\n"):
            break
    return found
