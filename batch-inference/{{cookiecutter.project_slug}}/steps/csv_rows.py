"""The rows of a CSV file: RFC 4180, with line ends of LF or CRLF.

Python's csv module is not enough here. It takes a quote that is never closed for a field as long as the rest
of the file, in memory; it cannot go on behind a field that is too long; before Python 3.11 it refuses NUL
characters. What it accepts beyond the RFC is accepted here, too: a quote inside a field that does not begin
with one is a character like any other, and what follows a closing quote belongs to the field.
"""

from __future__ import annotations

import io
from collections.abc import Iterator

NEVER_ENDS = "a quoted field that never ends"


class Rows:
    """The rows, one after the other.

    Args:
        lines: each with its end; a line that is too long to keep may come in pieces.
        delimiter: between two fields.
        longest: characters of the longest row.

    Attributes:
        lines: how many lines the last row took.
    """

    def __init__(self, lines: Iterator[str], delimiter: str, longest: int) -> None:
        self.lines = 0
        self._source = lines
        self._delimiter = delimiter
        self._longest = longest
        # of the row that is being read: its size so far, its fields, the line or piece and the place in it
        self._size = 0
        self._fields: list[str] = []
        self._field = io.StringIO()
        self._line = ""
        self._at = 0

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
        self._fields, self._line, self._at = [], line, 0
        another = True
        while another:
            self._field = io.StringIO()
            if self._at_quote():
                self._at += 1
                if not self._take_quoted():
                    return NEVER_ENDS
            another = self._take_rest()
        return self._fields if self._size <= self._longest else f"longer than {self._longest >> 20} MiB"

    def _take_quoted(self) -> bool:
        """Take what is quoted; false when the file ends before the quote is closed."""
        while True:
            end = self._line.find('"', self._at)
            if end < 0:
                self._field.write(self._line[self._at :])
                if not self._more():
                    return False
                continue
            self._field.write(self._line[self._at : end])
            self._at = end + 1
            if not self._at_quote():
                return True
            self._field.write('"')
            self._at += 1

    def _take_rest(self) -> bool:
        """Take the field up to the delimiter or the end of the row; say whether another one follows."""
        end = self._line.find(self._delimiter, self._at)
        while end < 0 and not self._line.endswith("\n"):
            self._field.write(self._line[self._at :].rstrip("\r\n"))
            if not self._more():
                break
            end = self._line.find(self._delimiter)
        rest = self._line[self._at : end] if end >= 0 else self._line[self._at :].rstrip("\r\n")
        self._field.write(rest)
        self._fields.append(self._field.getvalue())
        self._at = end + 1
        return end >= 0

    def _at_quote(self) -> bool:
        """Say whether a quote is next: in the next piece when this one has ended."""
        if self._at == len(self._line):
            self._more()
        return self._line.startswith('"', self._at)

    def _more(self) -> bool:
        """Go to the next line or piece, if there is one; forget a row that is longer than what is kept."""
        ended = self._line.endswith("\n")
        self._line, self._at = next(self._source, ""), 0
        self.lines += ended and bool(self._line)
        self._size += len(self._line)
        if self._size > self._longest:
            self._fields.clear()
            self._field = io.StringIO()
        return bool(self._line)
