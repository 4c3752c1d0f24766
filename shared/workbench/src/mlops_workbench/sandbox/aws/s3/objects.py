"""Objects: deleting many keys at once.

moto 5.2.5 answers 500 to DeleteObjects for a key whose history holds a delete marker: it disposes of every
version, and a delete marker has no ``dispose``.
"""

from __future__ import annotations

from moto.s3.models import FakeDeleteMarker


def install() -> None:
    """Give delete markers the method; they hold nothing to free."""

    def dispose(self: FakeDeleteMarker, garbage: bool = False) -> None:
        pass

    FakeDeleteMarker.dispose = dispose  # type: ignore[attr-defined]
