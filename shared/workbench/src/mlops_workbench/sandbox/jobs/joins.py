"""DataProcessing of a transform job: what the model gets of a record, and what becomes of its answer.

[read] SageMaker developer guide, "Associate Prediction Results with Input Records", and the API reference of
DataProcessing: InputFilter chooses what the model gets; JoinSource Input puts the raw record and its answer
together (JSON: the key SageMakerOutput; CSV: further columns); OutputFilter chooses what is written of that.
"""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from mlops_workbench.sandbox.errors import JobFailed
from mlops_workbench.sandbox.jobs.filters import Filter, FilterError, parse
from mlops_workbench.sandbox.jobs.records import Request

INPUT, OUTPUT = "SageMakerInput", "SageMakerOutput"
CSV, JSON, JSON_LINES = "text/csv", "application/json", "application/jsonlines"
#: The only formats that DataProcessing reads.
FORMATS = (CSV, JSON, JSON_LINES)

# A column may be as long as a payload; csv's own limit is 128 KiB.
csv.field_size_limit(sys.maxsize)


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")


# Made once: json.loads and json.dumps make a new one for each record, which takes longer than the record.
_decode = json.JSONDecoder(parse_constant=_refuse).decode
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def media_type(header: str) -> str:
    """Return a Content-Type or Accept header without its parameters."""
    return header.partition(";")[0].strip().lower()


@dataclass(frozen=True)
class DataProcessing:
    """What one job does with its records.

    Attributes:
        input_filter: of what the model gets.
        output_filter: of what is written.
        join: whether the raw record is put before the answer.
        content_type, accept: of ``FORMATS``.
        lines: whether records are written on lines of their own (AssembleWith Line).
    """

    input_filter: Filter
    output_filter: Filter
    join: bool
    content_type: str
    accept: str
    lines: bool

    @classmethod
    def of(cls, request: Mapping[str, Any]) -> DataProcessing | None:
        """Read it out of a CreateTransformJob request that is valid; None if it changes nothing."""
        given = request.get("DataProcessing") or {}
        taken, answered = request["TransformInput"], request["TransformOutput"]
        made = cls(
            parse(given.get("InputFilter") or "$"),
            parse(given.get("OutputFilter") or "$"),
            given.get("JoinSource") == "Input",
            media_type(taken.get("ContentType") or ""),
            media_type(answered.get("Accept") or ""),
            answered.get("AssembleWith") == "Line",
        )
        idle = made.input_filter.everything and made.output_filter.everything and not made.join
        return None if idle else made

    def answer(self, name: str, request: Request, invoke: Callable[[bytes], bytes]) -> bytes:
        """Ask the model about one request and return what is written of that.

        Args:
            name: of the file, for messages.
            request: its raw records.
            invoke: sends a body and returns the answer's.

        Raises:
            JobFailed: a record or an answer that cannot be read, or that lacks what a filter selects; as many
                answers as records are wanted for a join. Or from ``invoke``.
        """
        if self.input_filter.everything:
            answered = invoke(request.body())
        else:
            rows = _read(request.records, self.content_type, name, request, "the record")
            answered = invoke(request.body([*self._filtered(rows, self.input_filter, name, request)]))
        if self.output_filter.everything and not self.join:
            return answered
        parts = self._parts(answered, request)
        if self.join and len(parts) != len(request.records):
            _fail(
                name,
                request,
                "Fail to join data: mismatched line count between the input and the output: "
                f"{len(request.records)} asked, {len(parts)} answered",
            )
        found = _read(parts, self.accept, name, request, "the answer")
        if self.join:
            raw = _read(request.records, self.content_type, name, request, "the record")
            found = (self._joined(*pair) for pair in zip(raw, found, strict=True))
        written = self._filtered(found, self.output_filter, name, request)
        return b"".join(line + b"\n" for line in written) if self.lines else b"".join(written)

    def _parts(self, answered: bytes, request: Request) -> list[bytes]:
        """Return the bytes of each answer: a line, or all of it where JSON is about a single record."""
        if self.accept == JSON and len(request.records) == 1:
            return [answered] if answered.strip() else []
        return [line for line in answered.split(b"\n") if line.strip()]

    def _joined(self, raw: Any, answered: Any) -> Any:
        if self.content_type == CSV:
            return [*raw, *answered]
        return {**raw, OUTPUT: answered} if isinstance(raw, dict) else {INPUT: raw, OUTPUT: answered}

    def _filtered(
        self, values: Iterable[Any], chosen: Filter, name: str, request: Request
    ) -> Iterable[bytes]:
        for number, value in enumerate(values, 1):
            try:
                yield _csv(chosen.row(value)) if self.content_type == CSV else _json(chosen.select(value))
            except FilterError as error:
                _fail(name, request, f"record {number}: {error}")


def _read(parts: Iterable[bytes], kind: str, name: str, request: Request, what: str) -> Iterable[Any]:
    """Yield the value of each part: a row for CSV."""
    for number, part in enumerate(parts, 1):
        try:
            text = part.decode()
            if kind == CSV:
                yield next(csv.reader((text.rstrip("\r\n"),), strict=True), [])
            else:
                yield _decode(text)
        except (ValueError, csv.Error, RecursionError) as error:
            wanted = "CSV (RFC 4180, no line ends within a field)" if kind == CSV else "JSON"
            _fail(name, request, f"record {number}: expected {what} to be {wanted}: {error}")


def _json(value: Any) -> bytes:
    try:
        return _encode(value).encode()
    except UnicodeEncodeError:
        # Half a surrogate pair, which JSON can carry as an escape and UTF-8 cannot at all.
        return json.dumps(value, separators=(",", ":")).encode()


def _csv(row: list[str]) -> bytes:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="").writerow(row)
    return buffer.getvalue().encode()


def _fail(name: str, request: Request, problem: str) -> NoReturn:
    raise JobFailed(f"ClientError: {name}: {request.where}: {problem}")
