"""The records of a transform job: how a file is cut into requests, and what DataProcessing makes of each.

[read] in the API reference of TransformInput, TransformOutput and CreateTransformJob. At no time is more
of a file in memory than one request, except where a request is the file: SplitType None, or no limit.

[read] SageMaker developer guide, "Associate Prediction Results with Input Records", and the API reference
of DataProcessing: InputFilter chooses what the model gets; JoinSource Input puts the raw record and its
answer together (JSON: the key SageMakerOutput; CSV: further columns); OutputFilter chooses what is written
of that.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NoReturn, cast

from mlops_workbench.sandbox.errors import JobFailed
from mlops_workbench.sandbox.services.sagemaker.jobs.transform_filters import Filter, FilterError, parse

MIB = 1024 * 1024
#: What log and reason say of a payload that is too large, as the service does.
_TOO_LARGE = "Too much data for max payload size"
INPUT, OUTPUT = "SageMakerInput", "SageMakerOutput"
CSV, JSON, JSON_LINES = "text/csv", "application/json", "application/jsonlines"
#: The only formats that DataProcessing reads.
FORMATS = (CSV, JSON, JSON_LINES)

# A column may be as long as a payload; csv's own limit is 128 KiB.
csv.field_size_limit(sys.maxsize)


@dataclass(frozen=True)
class Request:
    """What one call of the model is about.

    Attributes:
        records: the whole file, or lines without their ends.
        first: the number of the first line, from 1; 0 for a whole file.
        last: the number of the last line.
        lines: whether the body gives each record a line; a single record is sent without a line end.
    """

    records: list[bytes]
    first: int = 0
    last: int = 0
    lines: bool = False

    @property
    def where(self) -> str:
        """Name the part of the file, for messages."""
        if not self.first:
            return "the whole file"
        return f"line {self.first}" if self.first == self.last else f"lines {self.first} to {self.last}"

    def body(self, records: list[bytes] | None = None) -> bytes:
        """Return the bytes to send: of these records, or of others that stand for them."""
        chosen = self.records if records is None else records
        return b"\n".join([*chosen, b""]) if self.lines else b"".join(chosen)


@contextmanager
def opened(path: Path, *, compression: str, name: str) -> Iterator[BinaryIO]:
    """Open a file for reading, through gzip if CompressionType says so.

    Raises:
        JobFailed: from the block, in place of what gzip raises for data that are not its own.
    """
    if compression != "Gzip":
        with path.open("rb") as file:
            yield file
        return
    try:
        with gzip.open(path, "rb") as file:
            yield cast(BinaryIO, file)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise JobFailed(f"ClientError: {name}: CompressionType Gzip: expected gzip: {error}") from None


def requests(
    file: BinaryIO, *, split: str, strategy: str, max_payload_mb: int, name: str
) -> Iterator[Request]:
    r"""Yield the requests for one file, as it is read.

    Args:
        file: read from its position on.
        split: SplitType; "None" makes the file one request, and ``strategy`` means nothing.
        strategy: "SingleRecord": a line without its end for each request; "MultiRecord": as many lines as
            fit.
        max_payload_mb: MaxPayloadInMB; 0 is no limit.
        name: of the file, for messages.

    Raises:
        JobFailed: a SplitType that is not offered, or a record that is larger than the limit.
    """
    limit = max_payload_mb * MIB
    if split == "None":
        whole = file.read(limit + 1 if limit else -1)
        if limit and len(whole) > limit:
            raise _too_large(name, "the file", max_payload_mb, "; SplitType Line cuts it")
        yield Request([whole])
        return
    if split != "Line":
        raise JobFailed(f"ClientError: SplitType: expected None or Line in the sandbox, got {split}")
    batch: list[bytes] = []
    size = first = last = 0
    for number, record in _lines(file, limit, name, max_payload_mb):
        if strategy == "SingleRecord":
            yield Request([record], number, number)
            continue
        if batch and limit and size + len(record) + 1 > limit:
            yield Request(batch, first, last, lines=True)
            batch, size = [], 0
        if not batch:
            first = number
        batch.append(record)
        last = number
        size += len(record) + 1
    if batch:
        yield Request(batch, first, last, lines=True)


def _lines(file: BinaryIO, limit: int, name: str, max_payload_mb: int) -> Iterator[tuple[int, bytes]]:
    """Yield the number and the content of each line that is not blank; one that is too large stays unread."""
    # The longest line: with a line end of two bytes, of which one is sent.
    longest = limit + 2 if limit else -1
    number = 0
    while line := file.readline(longest):
        number += 1
        record = line.removesuffix(b"\n").removesuffix(b"\r")
        if limit and len(record) + 1 > limit:
            raise _too_large(name, f"line {number}", max_payload_mb)
        if record.strip():
            yield number, record


def _too_large(name: str, what: str, max_payload_mb: int, advice: str = "") -> JobFailed:
    return JobFailed(
        f"ClientError: {name}: {_TOO_LARGE}: {what} is larger than MaxPayloadInMB={max_payload_mb}{advice}"
    )


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
