"""The files of the input: found, hashed, unpacked and decoded, and their columns checked."""

from __future__ import annotations

import codecs
import difflib
import gzip
import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

from failure import StepError, listed

FORMATS = {".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "jsonl", ".parquet": "parquet"}
_UTF8 = ("utf-8", "utf-8-sig")


@dataclass(frozen=True)
class DataFile:
    """A file of the input, its name below the input folder, and its format (a value of ``FORMATS``)."""

    path: Path
    name: str
    format: str


def find_files(place: Path, format: str = "auto") -> list[DataFile]:
    """Return the data files in a folder and the folders below it, sorted by name; or the file ``place``.

    Names that begin with a dot or an underscore (``_SUCCESS``) are left out, as Spark and Hive do.

    Raises:
        StepError: nothing is there, or with ``auto`` a file's name does not tell its format.
    """
    if place.is_file():
        found = {place.name: place}
    else:
        below = ((path.relative_to(place), path) for path in place.rglob("*") if path.is_file())
        found = {
            name.as_posix(): path for name, path in below if not any(part[0] in "._" for part in name.parts)
        }
    if not found:
        raise StepError(
            f"{place}: expected data files ({', '.join(FORMATS)}, or .gz of the first four), found none"
        )
    return [
        DataFile(found[name], name, _format_of(name) if format == "auto" else format)
        for name in sorted(found)
    ]


def _format_of(name: str) -> str:
    try:
        return FORMATS[Path(name.lower().removesuffix(".gz")).suffix]
    except KeyError:
        raise StepError(
            f"{name}: the name does not tell the format; expected {', '.join(FORMATS)} (or .gz): "
            "rename or remove the file, or declare data.format in config/model.yaml"
        ) from None


def content_hash(files: Sequence[DataFile]) -> str:
    """Return the SHA-256, in hexadecimal, of the files' own SHA-256 digests in the order of their names."""
    whole = hashlib.sha256()
    for file in files:
        with file.path.open("rb") as stream:
            whole.update(hashlib.file_digest(stream, "sha256").digest())
    return whole.hexdigest()


def _open(file: DataFile) -> BinaryIO:
    """Open a file as it is, or unpack it when its name ends in .gz."""
    return cast(BinaryIO, gzip.open(file.path)) if file.name.lower().endswith(".gz") else file.path.open("rb")


class Utf8(io.RawIOBase):
    """A file of any encoding as a stream of UTF-8, without a byte order mark.

    It knows the line and byte of a character that is wrong.
    """

    def __init__(self, file: DataFile, encoding: str) -> None:
        """Open the file and decode it from the encoding."""
        self._file, self._encoding = file, encoding
        self._stream = _open(file)
        self._decoder = codecs.getincrementaldecoder(encoding)()
        self._ready = b""
        self._offset = 0  # bytes handed to the decoder so far
        self._line = 1

    def readable(self) -> bool:
        """Say yes."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill the buffer.

        Raises:
            StepError: the bytes are not of the encoding.
        """
        while not self._ready:
            data = self._stream.read(1 << 20)
            if not self._decode(data):
                return 0
        count = min(len(buffer), len(self._ready))
        buffer[:count], self._ready = self._ready[:count], self._ready[count:]
        return count

    def _decode(self, data: bytes) -> bool:
        """Add the data to what is ready; false at the end of the file."""
        pending = len(self._decoder.getstate()[0])  # bytes of a character that was cut by the last read
        try:
            text = self._decoder.decode(data, final=not data)
        except UnicodeDecodeError as error:
            line = self._line + error.object[: error.start].decode(self._encoding, "replace").count("\n")
            offset = self._offset - pending + error.start
            raise StepError(_wrong_byte(self._file, self._encoding, line, offset, error)) from None
        if self._offset == 0:
            text = text.removeprefix("\ufeff")
        self._offset += len(data)
        self._line += text.count("\n")
        self._ready = text.encode("utf-8", "replace")
        return bool(data)

    def close(self) -> None:
        """Close the file."""
        self._stream.close()
        super().close()


def _wrong_byte(file: DataFile, encoding: str, line: int, offset: int, error: UnicodeDecodeError) -> str:
    with _open(file) as stream:
        start = stream.read(4)
    advice = "declare the encoding that the file was saved in, for example windows-1252"
    if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        advice = "the file begins with the byte order mark of UTF-16: declare utf-16"
    where = "unpacked " if file.name.lower().endswith(".gz") else ""
    wrong = " ".join(f"0x{byte:02x}" for byte in error.object[error.start : error.start + 4])
    return (
        f"{file.name}: line {line:,}, {where}byte {offset:,}: expected {encoding}, found {wrong} "
        f"({error.reason}); "
        f"data.encoding in config/model.yaml: {advice}"
    )


def refuse_wrong_bytes(file: DataFile) -> None:
    """Find the first byte that is not UTF-8, which Arrow does not tell.

    Raises:
        StepError: there is one; it names the line and the byte.
    """
    with Utf8(file, "utf-8") as stream:
        while stream.read(1 << 20):
            pass


def open_utf8(file: DataFile, encoding: str) -> BinaryIO:
    """Open a file as UTF-8, decoded if it is in another encoding; UTF-8 is not checked."""
    if codecs.lookup(encoding).name in _UTF8:
        return _open(file)
    with _open(file) as stream:
        if stream.read(3) == codecs.BOM_UTF8:
            found = "the byte order mark of UTF-8; declare data.encoding: utf-8"
            raise StepError(f"{file.name}: expected {encoding}, found {found}")
    return io.BufferedReader(Utf8(file, encoding), 1 << 20)


def check_columns(name: str, found: Sequence[str], wanted: Sequence[str]) -> None:
    """Refuse a file that lacks a wanted column, or has it twice.

    Raises:
        StepError: with the columns found and, where one is close, a suggestion.
    """
    for column in wanted:
        if found.count(column) > 1:
            raise StepError(
                f"{name}: expected one column {column!r}, found {found.count(column)}; rename one of them"
            )
        if column not in found:
            names = listed([*map(repr, found)], 20)
            raise StepError(f"{name}: expected a column {column!r}, found {names}{_suggest(column, found)}")


def _suggest(column: str, found: Sequence[str]) -> str:
    if any("\0" in name for name in found):
        return "; the file looks like UTF-16: declare data.encoding: utf-16"
    if len(found) == 1 and (sign := next((sign for sign in ";\t|" if sign in found[0]), None)):
        return f"; the values seem to be separated by {sign!r}: save the file with commas"
    folded = {name.strip().casefold(): name for name in found}
    close = difflib.get_close_matches(column.strip().casefold(), folded, 1)
    return f"; did you mean {folded[close[0]]!r}?" if close else ""
