"""A file of a transform job cut into requests, and the answers put together.

[read] in the API reference of TransformInput, TransformOutput and CreateTransformJob.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from mlops_sandbox.jobs.errors import JobFailed

_MIB = 1024 * 1024


def requests(data: bytes, *, split: str, strategy: str, max_payload_mb: int, name: str) -> Iterator[bytes]:
    r"""Yield the bodies of the requests for one file.

    Args:
        data: the file.
        split: SplitType; "None" makes the file one request.
        strategy: "SingleRecord": a line without its end for each request; "MultiRecord": as many lines as
            fit.
        max_payload_mb: MaxPayloadInMB; 0 is no limit.
        name: of the file, for messages.

    Raises:
        JobFailed: a SplitType that is not offered, or a record that is larger than the limit.
    """
    limit = max_payload_mb * _MIB or float("inf")
    if split not in ("None", "Line"):
        raise JobFailed(f"ClientError: SplitType: expected None or Line, got {split}")
    if split == "None":
        if len(data) > limit:
            raise JobFailed(
                f"ClientError: {name}: {len(data)} bytes are more than MaxPayloadInMB={max_payload_mb}"
            )
        yield data
        return
    batch: list[bytes] = []
    size = 0
    for number, line in enumerate(data.split(b"\n"), 1):
        record = line.removesuffix(b"\r")
        if not record.strip():
            continue
        if len(record) + 1 > limit:
            raise JobFailed(
                f"ClientError: {name}: line {number} is larger than MaxPayloadInMB={max_payload_mb}"
            )
        if strategy == "SingleRecord":
            yield record
            continue
        if batch and size + len(record) + 1 > limit:
            yield b"\n".join(batch) + b"\n"
            batch, size = [], 0
        batch.append(record)
        size += len(record) + 1
    if batch:
        yield b"\n".join(batch) + b"\n"


def assemble(answers: Iterable[bytes], *, assemble_with: str) -> bytes:
    """Put answers together: as they are, or each on lines of its own."""
    if assemble_with == "Line":
        return b"".join(answer if answer.endswith(b"\n") else answer + b"\n" for answer in answers)
    return b"".join(answers)
