"""The rows of a CSV file: RFC 4180, with line ends of LF or CRLF.

Python's csv module is not enough here. It takes a quote that is never closed for a field as long as the rest
of the file, in memory; it cannot go on behind a field that is too long; before Python 3.11 it refuses NUL
characters. What it accepts beyond the RFC is accepted here, too: a quote inside a field that does not begin
with one is a character like any other, and what follows a closing quote belongs to the field.
"""

from __future__ import annotations

from collections.abc import Iterator

NEVER_ENDS = "a quoted field that never ends"


class Rows:
    """The rows, one after the other.

    Args:
        lines: each with its end; a line that is too long to keep may come in pieces.
        delimiter: between two fields.
        longest: characters of the longest row.

    Attributes:
        lines: how many lines (or pieces) the last row took.
    """

    def __init__(self, lines: Iterator[str], delimiter: str, longest: int) -> None:
        self.lines = 0
        self._source = lines
        self._delimiter = delimiter
        self._longest = longest
        self._size = 0

    def __iter__(self) -> Iterator[list[str] | str]:
        """Yield the fields of each row, or what is wrong with it. Lines with nothing in them are no rows."""
        delimiter = self._delimiter
        for line in self._source:
            if '"' not in line and line.endswith("\n"):
                self.lines = 1
                line = line.rstrip("\r\n")
                if line:
                    yield line.split(delimiter)
            elif line.strip("\r\n"):
                yield self._row(line)

    def _row(self, line: str) -> list[str] | str:
        """Return the row that begins with this line."""
        self.lines, self._size = 1, len(line)
        fields: list[str] = []
        at = 0
        while True:
            parts: list[str] = []  # of this field
            if line.startswith('"', at):
                line, at = self._quoted(line, at + 1, fields, parts)
                if not line:
                    return NEVER_ENDS
            end = line.find(self._delimiter, at)
            while end < 0 and not line.endswith("\n"):
                parts.append(line[at:].rstrip("\r\n"))
                line, at = self._more(fields, parts), 0
                if not line:  # that was the last line of the file
                    break
                end = line.find(self._delimiter)
            if end < 0:
                fields.append("".join([*parts, line[at:].rstrip("\r\n")]))
                break
            fields.append("".join([*parts, line[at:end]]))
            at = end + 1
        return fields if self._size <= self._longest else f"longer than {self._longest >> 20} MiB"

    def _quoted(self, line: str, at: int, fields: list[str], parts: list[str]) -> tuple[str, int]:
        """Add what is quoted to the parts; return the line and place behind it, or an empty line at the end."""
        while True:
            end = line.find('"', at)
            if end < 0:
                parts.append(line[at:])
                line, at = self._more(fields, parts), 0
                if not line:
                    return line, at
                continue
            parts.append(line[at:end])
            at = end + 1
            if at == len(line):  # the last line of the file, or a piece
                more = self._more(fields, parts)
                if not more:
                    return line, at
                line, at = more, 0
            if not line.startswith('"', at):
                return line, at
            parts.append('"')
            at += 1

    def _more(self, fields: list[str], parts: list[str]) -> str:
        """Return the next line of this row; forget the row when it is longer than what is kept."""
        line = next(self._source, "")
        self.lines += bool(line)
        self._size += len(line)
        if self._size > self._longest:
            fields.clear()
            parts.clear()
        return line
