"""The rows in parts: contiguous, so that order is kept, and alike in size, so that instances get equal work.

SageMaker gives a whole object to one instance: a file in one part would be answered by one instance only.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

SMALLEST = 256 << 10
LARGEST = 32 << 20
"""Bytes of the source in a part. Its requests may be larger, because a request is more than its text."""

LARGEST_REQUESTS = 4 * LARGEST
"""Bytes of the requests of a part, which only texts of a few characters can reach."""

UNPACKED = 5
"""Times that a gzip file of comments is larger when it is unpacked, about."""


@dataclass
class Part:
    """What is in a part: rows, and how many of them are asked."""

    rows: int = 0
    asked: int = 0


def part_name(number: int) -> str:
    """Return the name of a part's file; they sort as they are numbered."""
    return f"part-{number:05}.jsonl"


def target_size(source: int, packed: bool, instances: int) -> int:
    """Return how many bytes of the source each part should hold.

    There are two parts for each instance; more of a large file, fewer of a small one. Whenever there are more
    parts than instances, each instance has as many as the others.
    """
    size = source * UNPACKED if packed else source
    parts = 2 * instances
    if size > parts * LARGEST:
        parts = instances * math.ceil(size / (instances * LARGEST))
    parts = min(parts, max(1, size // SMALLEST))
    if parts > instances:
        parts -= parts % instances
    return math.ceil(size / parts)


class Parts:
    """Writes the rows and the requests; both have the same numbering.

    There is a first part, if without rows, because a step cannot be given a folder that has no object. A part
    in which nothing is asked has no file of requests.

    Args:
        requests: folder for what the model is asked.
        rows: folder for all rows.
        target: bytes of the source in a part.
        payload: bytes of the requests in a part, when a part is one request.
    """

    def __init__(self, requests: Path, rows: Path, target: int, payload: int | None) -> None:
        for folder in (requests, rows):
            folder.mkdir(parents=True, exist_ok=True)
            for stale in folder.glob("part-*.jsonl"):  # of an earlier run by hand
                stale.unlink()
        self._folders = requests, rows
        self._target, self._payload = target, payload or LARGEST_REQUESTS
        self._position = self._start = self._size = 0
        self.parts: list[Part] = []
        self._requests: BinaryIO | None = None
        self._begin()

    def add(self, row: bytes, request: bytes, position: int) -> None:
        """Write a row, and its request if that is not empty.

        Args:
            row: its line.
            request: its line.
            position: how far the source is read, in bytes.
        """
        part = self.parts[-1]
        full = self._position - self._start >= self._target
        if full or self._size + len(request) > self._payload:
            self._close()
            self._begin()
            part = self.parts[-1]
        self._position = position
        self._rows.write(row)
        part.rows += 1
        if request:
            if self._requests is None:
                self._requests = self._open(self._folders[0])
            self._requests.write(request)
            self._size += len(request)
            part.asked += 1

    def __enter__(self) -> Parts:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def _begin(self) -> None:
        self.parts.append(Part())
        self._start, self._size = self._position, 0
        self._rows = self._open(self._folders[1])

    def _open(self, folder: Path) -> BinaryIO:
        return (folder / part_name(len(self.parts) - 1)).open("wb", buffering=1 << 20)

    def _close(self) -> None:
        self._rows.close()
        if self._requests:
            self._requests.close()
            self._requests = None
