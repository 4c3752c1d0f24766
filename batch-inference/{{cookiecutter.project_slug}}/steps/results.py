"""The result: the rows as they were, the answers beside them, as CSV or JSON Lines, plain or gzip."""

from __future__ import annotations

import gzip
import io
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

from columns import AddedNames, added_columns
from json_lines import dump, to_bytes
from model_answers import Answer, Target

_NEEDS_QUOTES = re.compile('[",\r\n]').search


class Added:
    """What is added to a row.

    Args:
        names: what the columns are called.
        targets: what the model answers about a text.
        version: of the model, for a row that has an answer.
        top_labels: how many labels of a target that has one.

    Attributes:
        columns: the names, in their order.
    """

    def __init__(
        self, names: AddedNames, targets: Sequence[Target], version: int, top_labels: int = 1
    ) -> None:
        self.columns = list(added_columns(names, targets, top_labels))
        self._targets, self._version, self._top_labels = targets, version, top_labels
        self._version_field = str(version)

    def values(self, answer: Answer | None, error: str | None) -> list[Any]:
        """Return JSON values for one row: scores with 6 decimals, several labels as a list, None for none."""
        if answer is None:
            return [None] * (len(self.columns) - 1) + [error]
        found: list[Any] = []
        for target, said in zip(self._targets, answer):
            if target.several:
                found.append([label for label, _ in said.labels])
                found.append([round(score, 6) for _, score in said.labels])
            else:
                found += [part for label, score in said.labels for part in (label, round(score, 6))]
                found += [None] * (2 * (self._top_labels - len(said.labels)))
            if target.reviewed:
                found.append(said.needs_review)
        return [*found, self._version, error]

    def fields(self, answer: Answer | None, error: str | None) -> list[str]:
        """Return the same as a CSV has it: several labels, and their scores, with ``;`` between them."""
        if answer is None:
            return [""] * (len(self.columns) - 1) + [_field(error)]
        found: list[str] = []
        for target, said in zip(self._targets, answer):
            if target.several:
                found.append(_field(";".join([_escaped(label) for label, _ in said.labels])))
                found.append(";".join([f"{score:.6f}" for _, score in said.labels]))
            else:
                for label, score in said.labels:
                    found += (_field(label), f"{score:.6f}")
                found += [""] * (2 * (self._top_labels - len(said.labels)))
            if target.reviewed:
                found.append("true" if said.needs_review else "false")
        found += (self._version_field, _field(error))
        return found


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


def _field(value: Any) -> str:
    """Return a JSON value as a field of a CSV: text as it is, null as nothing, the others as JSON."""
    if value is None:
        return ""
    text = value if isinstance(value, str) else dump(value)
    if _NEEDS_QUOTES(text):
        text = text.replace('"', '""')
        return f'"{text}"'
    return text
