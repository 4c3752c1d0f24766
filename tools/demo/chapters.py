"""From a tutorial's Markdown to chapters with commands.

A chapter begins with a heading of the second level that has a number, such as `## 3. Register`, and ends at
the next heading of that level. Its fenced blocks that are marked `bash` are run; all other fences are for
reading. A block is divided into commands as bash itself would: a line is complete when bash can parse what
has been read so far.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_HEADING = re.compile(r"##\s+(?P<text>.*\S)")
_NUMBERED = re.compile(r"(?P<number>\d+)\.\s+(?P<title>.+)")
_FENCE = re.compile(r"(?P<marks>`{3,}|~{3,})\s*(?P<language>\S*)")
RUN = "bash"


class TutorialError(Exception):
    """The page cannot be run; the text says where and why."""


@dataclass(frozen=True)
class Command:
    """What a person types before the next prompt: one command, or several lines that belong together.

    Attributes:
        text: the lines, without the last line break.
        line: of the page, counted from 1, on which it begins.
    """

    text: str
    line: int


@dataclass(frozen=True)
class Chapter:
    """A numbered chapter: its number, its title, and its commands in order."""

    number: int
    title: str
    commands: tuple[Command, ...]


def read(page: Path) -> list[Chapter]:
    """Return the chapters of a page.

    Raises:
        TutorialError: it is not there, has no chapter, or a block that bash cannot read.
    """
    try:
        text = page.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise TutorialError(f"{page}: no such page") from None
    found = list(_chapters(text, page))
    if not found:
        raise TutorialError(f"{page}: expected chapters such as `## 1. Begin`, found none")
    return found


def _chapters(text: str, page: Path) -> Iterator[Chapter]:
    number, title = 0, ""
    commands: list[Command] = []
    fence, language, block, begun = "", "", list[str](), 0
    for position, line in enumerate(text.splitlines(), 1):
        if fence:
            if line.strip() == fence:
                if number and language == RUN:
                    commands += split("\n".join(block), begun, page)
                fence = ""
            else:
                block.append(line)
        elif opened := _FENCE.match(line):
            fence, language, block, begun = opened["marks"], opened["language"], [], position + 1
        elif heading := _HEADING.fullmatch(line):
            if number:
                yield Chapter(number, title, tuple(commands))
            numbered = _NUMBERED.fullmatch(heading["text"])
            number, title = (int(numbered["number"]), numbered["title"]) if numbered else (0, "")
            commands = []
    if fence:
        raise TutorialError(
            f"{page}:{begun - 1}: this block has no end: expected {fence} on a line of its own"
        )
    if number:
        yield Chapter(number, title, tuple(commands))


def split(block: str, first: int, page: Path) -> Iterator[Command]:
    """Divide a block into commands.

    Args:
        block: the lines between the fences.
        first: the number of the first of them on the page.
        page: for the error.

    Raises:
        TutorialError: the last command has no end.
    """
    lines: list[str] = []
    begun = first
    for position, line in enumerate(block.splitlines(), first):
        if not lines and (not line.strip() or line.lstrip().startswith("#")):
            continue
        if not lines:
            begun = position
        lines.append(line)
        if _complete("\n".join(lines)):
            yield Command("\n".join(lines), begun)
            lines = []
    if lines:
        raise TutorialError(f"{page}:{begun}: bash finds no end of this command: {lines[0]}")


def _complete(text: str) -> bool:
    """Tell whether bash can parse a text and waits for nothing more."""
    if text.endswith("\\"):
        return False
    done = subprocess.run(
        ["bash", "-n"], input=text + "\n", capture_output=True, text=True, check=False, env={"LC_ALL": "C"}
    )
    # For a here-document without its end bash only warns.
    return done.returncode == 0 and "here-document" not in done.stderr
