"""The result: the rows as they were, the answers beside them, as CSV or JSON Lines, plain or gzip."""

from __future__ import annotations

import gzip
import io
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Literal, cast

from columns import added_columns, columns_of
from json_lines import dump, to_bytes
from model_answers import Answer, Target

_NEEDS_QUOTES = re.compile('[",\r\n]').search


class Added:
    """What is added to a row.

    Args:
        names: what the columns are called, by key.
        targets: what the model answers about a text.
        version: of the model, for a row that has an answer.
        top_labels: how many labels of a target that has one.

    Attributes:
        columns: the names, in their order.
    """

    def __init__(
        self, names: Mapping[str, str], targets: Sequence[Target], version: int, top_labels: int = 1
    ) -> None:
        added = added_columns(names, targets, top_labels)
        self.columns = [name for name, _ in added]
        self._decimals = [column.decimals for _, column in added]
        self._of_targets = [
            (target, _values_of("label", target), _values_of("target", target)) for target in targets
        ]
        self._of_row = [column.value for _, column in added if column.of == "row"]
        self._unanswered: list[Any] = [None] * (len(added) - len(self._of_row))
        self._version, self._top_labels = version, top_labels

    def values(self, answer: Answer | None, error: str | None) -> list[Any]:
        """Return JSON values for one row: rounded numbers, several labels as a list, None for none."""
        return list(map(_rounded, self._values(answer, error), self._decimals))

    def fields(self, answer: Answer | None, error: str | None) -> list[str]:
        """Return the same as a CSV has it: several labels, and their scores, with ``;`` between them."""
        return list(map(_quoted, map(_text, self._values(answer, error), self._decimals)))

    def _values(self, answer: Answer | None, error: str | None) -> list[Any]:
        if answer is None:
            return self._unanswered + [value(None, error) for value in self._of_row]
        found: list[Any] = []
        for (target, of_label, of_target), said in zip(self._of_targets, answer):
            if target.several:
                found += [[value(*label) for label in said.labels] for value in of_label]
            else:
                found += [value(*label) for label in said.labels for value in of_label]
                found += [None] * (len(of_label) * (self._top_labels - len(said.labels)))
            found += [value(said) for value in of_target]
        return found + [value(self._version, error) for value in self._of_row]


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
        self._write(columns, map(_field, added.columns))

    def add(self, row: dict[str, Any], answer: Answer | None, error: str | None) -> None:
        """Write a row."""
        values = row["values"] or self._nothing
        if "columns" in row:
            own = dict(zip(row["columns"], values))
            values = [own.get(name) for name in self._columns]
        self._write(values, self._added.fields(answer, error))

    def _write(self, values: list[Any], fields: Iterable[str]) -> None:
        # Not the csv module: before Python 3.13 it leaves a field with CR unquoted when lines end in LF, and
        # that of Python 3.10 cannot write a NUL character.
        line = ",".join([*map(_field, values), *fields]) + "\n"
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

    def add(self, row: dict[str, Any], answer: Answer | None, error: str | None) -> None:
        """Write a row."""
        record = dict(zip(row.get("columns", self._columns), row["values"] or self._nothing))
        record.update(zip(self._added.columns, self._added.values(answer, error)))
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


def _escaped(label: str) -> str:
    """Return a label as it stands among others: what would be taken for the end of one has a backslash."""
    if ";" in label or "\\" in label:
        return label.replace("\\", "\\\\").replace(";", "\\;")
    return label


def _values_of(kind: Literal["label", "target"], target: Target) -> list[Callable[..., Any]]:
    return [column.value for column in columns_of(kind, target)]


def _rounded(value: Any, decimals: int | None) -> Any:
    """Return a number, or each of several, with at most so many decimals; all else as it is."""
    if decimals is None or value is None:
        return value
    return [round(each, decimals) for each in value] if isinstance(value, list) else round(value, decimals)


def _text(value: Any, decimals: int | None) -> str:
    """Return an added value as text, with ``;`` between those of a list."""
    if isinstance(value, list):
        return ";".join([_escaped(_plain(each, decimals)) for each in value])
    return _plain(value, decimals)


def _field(value: Any) -> str:
    """Return a JSON value as a field of a CSV."""
    return _quoted(_plain(value))


def _plain(value: Any, decimals: int | None = None) -> str:
    """Return text as it is, null as nothing, a number with all its decimals, other values as JSON."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    return dump(value) if decimals is None else f"{value:.{decimals}f}"


def _quoted(text: str) -> str:
    if _NEEDS_QUOTES(text):
        text = text.replace('"', '""')
        return f'"{text}"'
    return text
