"""The lines of the source, plain or gzip, as text: a bounded amount of memory, however large the file is."""

from __future__ import annotations

import codecs
import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import cast

from failure import StepError

UTF16 = "it is UTF-16: save it as UTF-8 (in Excel: CSV UTF-8)"


class Lines:
    """An open source.

    Args:
        path: of the file.
        name: what a person calls it.
        packed: whether it is gzip; of several members, one after the other, all are read.
        encoding: as Python names it; one in which ASCII is ASCII.
        longest: bytes of the longest line that is handed out in one piece.

    Attributes:
        longest: as given.
        position: bytes handed out so far, unpacked.
        wrong: a line since this was last set to False had bytes that are not of the encoding; each of them
            is U+FFFD in the text.

    Raises:
        StepError: the file is empty, UTF-16, or gzip where it should not be or the other way round; the
            encoding is not one of Python's.
    """

    def __init__(self, path: Path, name: str, packed: bool, encoding: str, longest: int) -> None:
        self.name = name
        self.encoding = known_encoding(encoding)
        self.position = 0
        self.wrong = False
        self.longest = longest
        self._stream = _open(path, packed)
        with self._whole_gzip():
            start = self._stream.peek(4)[:4]
        _refuse_what_is_no_text(name, start, self.encoding)
        if start.startswith(codecs.BOM_UTF8):
            self._stream.read(len(codecs.BOM_UTF8))

    def __iter__(self) -> Iterator[str]:
        """Yield each line with its end; one longer than ``longest`` in pieces, the end at the last."""
        read, longest, encoding = self._stream.readline, self.longest, self.encoding
        with self._whole_gzip():
            while True:
                line = read(longest)
                if not line:
                    return
                self.position += len(line)
                try:
                    text = line.decode(encoding)
                except UnicodeDecodeError:
                    self.wrong = True
                    text = line.decode(encoding, "replace")
                yield text

    @contextmanager
    def _whole_gzip(self) -> Iterator[None]:
        try:
            yield
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise StepError(
                f"{self.name}: expected a whole gzip file: {error}; pack it again, upload it again"
            ) from None

    def __enter__(self) -> Lines:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stream.close()


def known_encoding(name: str) -> str:
    """Return Python's own name of an encoding in which ASCII is ASCII.

    Only then a line ends with the byte 10 and with no other.

    Raises:
        StepError: there is none of that name, or it is another kind.
    """
    try:
        encoding = codecs.lookup(name).name
        usable = bytes(range(128)).decode(encoding) == "".join(map(chr, range(128)))
    except (LookupError, UnicodeError):
        usable = False
    if not usable:
        raise StepError(
            f"input.encoding: expected an encoding that Python knows and that holds ASCII as it is "
            f"(utf-8, windows-1252), got {name!r}"
        )
    return "utf-8" if encoding == "utf-8-sig" else encoding


def _open(path: Path, packed: bool) -> io.BufferedReader:
    stream = gzip.GzipFile(path) if packed else io.FileIO(path)
    return io.BufferedReader(cast(io.RawIOBase, stream), 1 << 20)


def _refuse_what_is_no_text(name: str, start: bytes, encoding: str) -> None:
    """Look at the first four bytes."""
    found = None
    if not start:
        found = "the file is empty: put the rows into it, upload it again"
    elif start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        found = UTF16
    elif len(start) == 4 and [byte == 0 for byte in start] in ([False, True] * 2, [True, False] * 2):
        found = UTF16  # without a byte order mark
    elif start.startswith(b"\x1f\x8b"):
        found = "it is gzip: let its name end in .gz"
    elif start.startswith(b"PK\x03\x04"):
        found = "it is an Excel or ZIP file: save it as CSV"
    elif start.startswith(codecs.BOM_UTF8) and encoding != "utf-8":
        found = "it begins with the byte order mark of UTF-8: declare input.encoding: utf-8"
    if found:
        raise StepError(f"{name}: expected text in {encoding}: {found}")
