"""What the body of a request asks: its records, each with its parameters. ``inference.py`` says the forms.

Ships in ``model.tar.gz`` beside ``inference.py``. Every ``ValueError`` reaches the client: it names the
record, counted from 1, and what was expected of it.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from texts import clean, join_columns

JSON = "application/json"
JSON_LINES = "application/jsonlines"
CSV = "text/csv"
FORMS = (JSON, JSON_LINES, CSV)

FUNCTIONS = ("softmax", "sigmoid", "none")

csv.field_size_limit(2**31 - 1)  # the default of 128 KiB is shorter than some emails


@dataclass(frozen=True)
class Parameters:
    """The ``parameters`` of a request; ``top_k`` 0 and None for the others stand for "not said"."""

    top_k: int | None = 0
    function_to_apply: str | None = None
    batch_size: int | None = None


@dataclass(frozen=True)
class Request:
    """The records of a request in their order, each a raw text or object, with the parameters of each."""

    records: list[Any]
    parameters: list[Parameters]
    single: bool = False
    """One text, not a list of one."""


def read(data: str | bytes, content_type: str) -> Request:
    """Decode the body of a request.

    Raises:
        ValueError: the body is not what its content type says.
    """
    form = content_type.split(";")[0].strip().lower()
    if form not in FORMS:
        raise ValueError(f"content type: expected {listing(FORMS, 'or')}, got {content_type}")
    if isinstance(data, (bytes, bytearray)):
        try:
            data = bytes(data).decode("utf-8")
        except UnicodeDecodeError as error:
            raise ValueError(f"the body is not UTF-8: {error.reason} at byte {error.start}") from None
    data = data.removeprefix("\ufeff")
    return {JSON: _read_json, JSON_LINES: _read_json_lines, CSV: _read_csv}[form](data)


def read_text(record: Any, columns: Sequence[str], join: str, where: str) -> str:
    """Return the text that the model reads for one record: a string, or an object with the text columns.

    Raises:
        ValueError: anything else; the message begins with ``where``.
    """
    if isinstance(record, str):
        return clean(record)
    named = listing(columns, "and")
    if not isinstance(record, dict):
        raise ValueError(f"{where}: expected text, got {_describe(record)}")
    if any(column not in record for column in columns):
        found = listing([str(key) for key in record][:10], "and") or "nothing"
        raise ValueError(f"{where}: expected text, or an object with {named}, got an object with {found}")
    for column in columns:
        if not isinstance(record[column], str | None):
            raise ValueError(f"{where}: {column}: expected text, got {_describe(record[column])}")
    return join_columns([record[column] for column in columns], join)


def listing(words: Sequence[str], last: str) -> str:
    """Return ``a, b and c``; ``last`` is the word before the last one."""
    return f" {last} ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else "".join(words)


def _read_json(data: str) -> Request:
    try:
        body = json.loads(data)
    except ValueError as error:
        raise ValueError(f"the body is not JSON: {error}") from None
    if not isinstance(body, dict) or "inputs" not in body:
        found = (
            f"the keys {listing([str(key) for key in body][:10], 'and')}"
            if body and isinstance(body, dict)
            else None
        )
        raise ValueError(f'expected {{"inputs": text or list of texts}}, got {found or _describe(body)}')
    _only(body, ("inputs", "parameters"), "the body")
    parameters = _parameters(body.get("parameters"), "")
    if isinstance(body["inputs"], list):
        return Request(body["inputs"], [parameters] * len(body["inputs"]))
    return Request([body["inputs"]], [parameters], single=True)


def _read_json_lines(data: str) -> Request:
    records, parameters = [], []
    # Only "\n" ends a line here: str.splitlines would also cut at U+2028, which may stand inside a JSON
    # string.
    for number, line in enumerate(data.rstrip("\r\n").split("\n"), start=1):
        where = f"record {number}: "
        try:
            record = json.loads(line)
        except ValueError as error:
            raise ValueError(
                f"{where}expected JSON, got {'an empty line' if not line.strip() else error}"
            ) from None
        given = None
        if isinstance(record, dict) and "inputs" in record:
            record, given = record["inputs"], record.get("parameters")
        records.append(record)
        parameters.append(_parameters(given, where))
    return Request(records, parameters)


def _read_csv(data: str) -> Request:
    rows = csv.reader(io.StringIO(data, newline=""), strict=True)
    records: list[Any] = []
    try:
        header = next(rows, None)
        if not header:
            raise ValueError("expected CSV with a header: inputs, or the text columns; got an empty body")
        for number, row in enumerate(filter(None, rows), start=1):
            if len(row) != len(header):
                raise ValueError(
                    f"record {number}: expected {len(header)} fields as in the header, got {len(row)}"
                )
            named = dict(zip(header, row, strict=True))
            records.append(named.get("inputs", named))
    except csv.Error as error:
        raise ValueError(f"record {len(records) + 1}: the body is not CSV: {error}") from None
    return Request(records, [Parameters()] * len(records))


def _parameters(given: Any, where: str) -> Parameters:
    if given is None:
        return Parameters()
    if not isinstance(given, dict):
        raise ValueError(f"{where}parameters: expected an object, got {_describe(given)}")
    _only(given, ("top_k", "function_to_apply", "batch_size"), f"{where}parameters")
    top_k = given.get("top_k", 0)
    if ("top_k" in given and top_k is not None) and not _is_count(top_k):
        raise ValueError(
            f"{where}parameters.top_k: expected a whole number above 0 or null, got {_describe(top_k)}"
        )
    batch_size = given.get("batch_size")
    if "batch_size" in given and not _is_count(batch_size):
        raise ValueError(
            f"{where}parameters.batch_size: expected a whole number above 0, got {_describe(batch_size)}"
        )
    function = given.get("function_to_apply")
    if "function_to_apply" in given and function not in FUNCTIONS:
        raise ValueError(
            f"{where}parameters.function_to_apply: expected {listing(FUNCTIONS, 'or')}, "
            f"got {_describe(function)}"
        )
    return Parameters(top_k, function, batch_size)


def _only(given: dict[str, Any], known: Sequence[str], where: str) -> None:
    unknown = [key for key in given if key not in known]
    if unknown:
        raise ValueError(f"{where}: expected {listing(known, 'and')} only, got {unknown[0]!r}")


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _describe(value: Any) -> str:
    """Say in a few words what a JSON value is: ``number 5``, ``null``, ``a list of 3``."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return f"number {value}"
    if isinstance(value, str):
        return f'text "{value[:40]}{"…" if len(value) > 40 else ""}"'
    if isinstance(value, list):
        return f"a list of {len(value)}"
    return "an object"
