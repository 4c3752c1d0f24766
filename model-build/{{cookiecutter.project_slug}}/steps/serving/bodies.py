"""The bodies of requests and of answers. ``inference.py`` says their forms.

What a request asks: its records, each with its parameters. Every ``ValueError`` reaches the client: it names
the record, counted from 1, and what was expected of it. What is answered: for each text what each target
says, as JSON, JSON Lines or CSV.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from serving.targets import Kind, Outcome, Target, probabilities
from serving.texts import clean, join_columns

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


@dataclass(frozen=True)
class Said:
    """One target's answer to one text: labels as ``{"label", "score"}``, best first."""

    labels: list[dict[str, Any]]
    needs_review: bool | None
    kind: Kind
    ranked: bool
    """Whether ``top_k`` was given."""

    def as_json(self) -> Any:
        """Return the answer in its JSON form."""
        review = {} if self.needs_review is None else {"needs_review": self.needs_review}
        if self.kind == "several":
            return {"labels": self.labels, **review}
        first, *others = self.labels
        return [{**first, **review}, *others] if self.ranked else {**first, **review}


def say(outcome: Outcome, row: int, parameters: Parameters) -> Said:
    """Return the answer to one text.

    ``function_to_apply`` changes the scores that are shown; which labels are answered, and whether a person
    is asked, is decided by the calibrated probabilities.
    """
    target, ranked = outcome.rules.target, parameters.top_k != 0
    scores = _shown(outcome, row, parameters.function_to_apply)
    ranking = np.argsort(-scores, kind="stable")
    if target.kind == "several":
        ranking = ranking[outcome.chosen[row][ranking]]
    elif parameters.top_k is not None:
        ranking = ranking[: parameters.top_k or 1]
    labels = [{"label": target.labels[index], "score": float(scores[index])} for index in ranking]
    review = None if outcome.needs_review is None else bool(outcome.needs_review[row])
    return Said(labels, review, target.kind, ranked)


def _shown(outcome: Outcome, row: int, function: str | None) -> np.ndarray:
    """Return the scores of one text's labels: calibrated, if the function is the target's own."""
    logits: np.ndarray = outcome.logits[row]
    own = "sigmoid" if outcome.rules.target.kind == "several" else "softmax"
    if function in (None, own):
        scores: np.ndarray = outcome.scores[row]
        return scores
    if function == "none":
        return logits
    other: np.ndarray = probabilities(logits[None], "several" if function == "sigmoid" else "one")[0]
    return other


def encode(
    records: Sequence[Sequence[Said]], targets: Sequence[tuple[Target, bool]], single: bool, form: str
) -> str:
    """Return the body of the answer.

    Args:
        records: for each text what each target says.
        targets: of the model, each with whether it has triage.
        single: the request was one text, not a list.
        form: JSON, JSON Lines or CSV.
    """
    if form == CSV:
        return _csv(records, targets)
    alone = form == JSON_LINES or single
    values = [_value(record, targets, alone) for record in records]
    if form == JSON_LINES:
        return "".join(_dump(value) + "\n" for value in values)
    assert form == JSON
    return _dump(values[0] if single else values)


def _value(record: Sequence[Said], targets: Sequence[tuple[Target, bool]], alone: bool) -> Any:
    """Return one text's answer; transformers' pipeline puts the one class of a single text into a list."""
    if len(targets) > 1:
        return {target.name: said.as_json() for (target, _), said in zip(targets, record, strict=True)}
    value = record[0].as_json()
    return [value] if alone and record[0].kind == "one" and not record[0].ranked else value


def _dump(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _csv(records: Sequence[Sequence[Said]], targets: Sequence[tuple[Target, bool]]) -> str:
    header: list[str] = []
    rows: list[list[Any]] = [[] for _ in records]
    for index, (target, triage) in enumerate(targets):
        prefix = f"{target.name}_" if len(targets) > 1 else ""
        said = [record[index] for record in records]
        if target.kind == "several":
            header.append(f"{prefix}labels")
            cells = [[";".join(best["label"].replace(";", "\\;") for best in each.labels)] for each in said]
        else:
            width = max((len(each.labels) for each in said), default=1)
            places = [""] if width == 1 else [f"_{place}" for place in range(1, width + 1)]
            header += [f"{prefix}{name}{place}" for place in places for name in ("label", "score")]
            cells = [
                [cell for best in each.labels for cell in (best["label"], best["score"])] for each in said
            ]
            cells = [row + [""] * (2 * width - len(row)) for row in cells]
        if triage:
            header.append(f"{prefix}needs_review")
            cells = [[*row, str(each.needs_review).lower()] for row, each in zip(cells, said, strict=True)]
        for row, more in zip(rows, cells, strict=True):
            row += more
    stream = io.StringIO(newline="")
    csv.writer(stream, lineterminator="\n").writerows([header, *rows])
    return stream.getvalue()
