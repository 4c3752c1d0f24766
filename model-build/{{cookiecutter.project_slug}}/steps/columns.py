"""The names of columns: is each one that is wanted there, once?"""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from failure import StepError
from wording import listed


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
