"""Parts of objects: GetObject with a Range reads that part.

moto 5.2.5 reads the whole object for each range of it. boto3 fetches a large object in parts of 8 MB, ten at
a time: one of 500 MB would be read sixty times, and be in memory ten times.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any

from moto.s3.models import FakeKey
from moto.s3.responses import S3Response

#: Whether the request that is being answered wants a range.
_ranged: ContextVar[bool] = ContextVar("ranged", default=False)


class Stored:
    """An object's bytes, of which ``[begin:end]`` reads no more than that."""

    def __init__(self, key: FakeKey) -> None:
        self._key = key

    def __len__(self) -> int:
        return int(self._key.contentsize)

    def __bool__(self) -> bool:
        return True

    def __getitem__(self, part: slice) -> bytes:
        begin, end, _ = part.indices(len(self))
        with self._key.lock:
            self._key._value_buffer.seek(begin)
            return bytes(self._key._value_buffer.read(max(0, end - begin)))


def install() -> None:
    """Let moto's own code for ranges cut what has not been read."""
    whole: Any = FakeKey.value
    get, cut = S3Response.get_object, S3Response._handle_range_header

    def value(self: FakeKey) -> Any:
        return Stored(self) if _ranged.get() else whole.fget(self)

    def get_object(self: S3Response) -> Any:
        token = _ranged.set(bool(self.headers.get("range")) and "partNumber" not in self.querystring)
        try:
            return get(self)
        finally:
            _ranged.reset(token)

    def handle_range_header(
        self: S3Response, request: Any, response_headers: dict[str, Any], response_content: Any
    ) -> Any:
        status, headers, body = cut(self, request, response_headers, response_content)
        # A range that S3 does not understand gets the whole object.
        return status, headers, body[:] if isinstance(body, Stored) else body

    FakeKey.value = property(value, whole.fset)  # type: ignore[assignment,method-assign]
    S3Response.get_object = get_object  # type: ignore[method-assign]
    S3Response._handle_range_header = handle_range_header  # type: ignore[method-assign]
