"""A file of a transform job cut into requests, while it is read.

[read] in the API reference of TransformInput, TransformOutput and CreateTransformJob. At no time is more of a
file in memory than one request, except where a request is the file: SplitType None, or no limit.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from mlops_workbench.sandbox.errors import JobFailed

MIB = 1024 * 1024
#: What log and reason say of a payload that is too large, as the service does.
_TOO_LARGE = "Too much data for max payload size"


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
