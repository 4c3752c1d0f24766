"""Texts and names as an error message shows them: short, on one line."""

from __future__ import annotations


def shorten(text: str, width: int = 60) -> str:
    """Return the text on one line, in double quotes, cut after ``width`` characters."""
    line = " ".join(text[: width * 2].split())
    return f'"{line[:width].rstrip()}…"' if len(line) > width or len(text) > width * 2 else f'"{line}"'


def listed(names: list[str], limit: int = 10) -> str:
    """Return the names separated by commas, at most ``limit`` of them and then how many more there are."""
    more = f", and {len(names) - limit:,} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more
