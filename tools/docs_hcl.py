"""Reads HCL for the documentation: blocks, attributes as they are written, and the comments beside them.

Not an evaluator, and not python-hcl2: that drops where a comment stood, and the comment beside a statement is
the reason for it. What is read here is Terraform's own formatted code (`terraform fmt` is checked).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

_HEADER = re.compile(r'^(?P<type>[A-Za-z_][\w-]*)(?P<labels>(?:\s+"[^"]*")*)\s*\{$')
_ONE_LINE = re.compile(r'^(?P<type>[A-Za-z_][\w-]*)(?P<labels>(?:\s+"[^"]*")*)\s*\{(?P<content>[^{]*)\}$')
_ATTRIBUTE = re.compile(r"^(?P<name>[A-Za-z_][\w-]*)\s*=\s*(?P<value>.*)$", re.DOTALL)
_HEREDOC = re.compile(r"<<[-~]?([A-Z]+)\s*$")


@dataclass
class Block:
    """One block: `resource "aws_iam_role" "this" { … }` has the type resource and two labels."""

    type: str
    labels: tuple[str, ...]
    comment: str = ""
    attributes: dict[str, str] = field(default_factory=dict)
    blocks: list[Block] = field(default_factory=list)
    file: Path = Path()

    def all(self, type: str) -> list[Block]:
        """The blocks of one type directly in this one."""
        return [block for block in self.blocks if block.type == type]


def read(folder: Path) -> list[Block]:
    """The blocks of every .tf file in a folder, in the order of the files' names.

    Raises:
        ValueError: a file has something that this reader does not know; it says which line.
    """
    return [block for path in sorted(folder.glob("*.tf")) for block in read_file(path)]


def read_file(path: Path) -> list[Block]:
    """The blocks of one file."""
    whole = Block("file", (), file=path)
    _fill(whole, iter(enumerate(path.read_text(encoding="utf-8").splitlines(), 1)), path)
    return whole.blocks


def is_text(expression: str) -> bool:
    """Whether an expression is one text in quotes, whatever is inserted into it."""
    return expression.startswith('"') and not any(True for _ in _outside_texts(expression))


def _fill(into: Block, lines: Iterator[tuple[int, str]], path: Path) -> None:
    """Read lines into a block until its closing brace, or the end of the file."""
    waiting: list[str] = []  # comments above what comes next
    inside: list[str] = []  # comments that belong to this block
    for number, line in lines:
        code, comment = _split(line)
        if comment and not code:
            waiting.append(comment)
            continue
        if not code:
            if into.type == "file":
                waiting = []  # a comment about the file, not about the block
            else:
                inside, waiting = [*inside, *waiting], []
            continue
        if code == "}":
            into.comment = " ".join([into.comment, *inside, *waiting]).strip()
            return
        header = _HEADER.match(code)
        one_line = _ONE_LINE.match(code)
        if header:
            labels = tuple(re.findall(r'"([^"]*)"', header["labels"]))
            block = Block(header["type"], labels, " ".join([*waiting, comment]).strip(), file=path)
            _fill(block, lines, path)
            into.blocks.append(block)
            waiting = []
            continue
        if one_line:
            labels = tuple(re.findall(r'"([^"]*)"', one_line["labels"]))
            block = Block(one_line["type"], labels, " ".join(waiting), file=path)
            waiting = []
            if inner := _ATTRIBUTE.match(one_line["content"].strip()):
                block.attributes[inner["name"]] = inner["value"].strip()
            into.blocks.append(block)
            continue
        attribute = _ATTRIBUTE.match(code)
        if not attribute:
            raise ValueError(
                f"{path}:{number}: expected a block, an attribute or a brace, got: {line.strip()}"
            )
        value, remarks = _value(attribute["value"], lines)
        into.attributes[attribute["name"]] = value
        inside += [*waiting, *([comment] if comment else []), *remarks]
        waiting = []
    into.comment = " ".join([into.comment, *inside]).strip()


def _value(first: str, lines: Iterator[tuple[int, str]]) -> tuple[str, list[str]]:
    """An expression, which goes on while a bracket is open; with the comments in it."""
    heredoc = _HEREDOC.search(first)
    parts, remarks = [first], list[str]()
    if heredoc:
        for _, line in lines:
            if line.strip() == heredoc[1]:
                return "\n".join(parts), remarks
            parts.append(line)
    while _open(" ".join(parts)):
        number_and_line = next(lines, None)
        if number_and_line is None:
            break
        code, comment = _split(number_and_line[1])
        if comment:
            remarks.append(comment)
        if code:
            parts.append(code)
    return " ".join(parts), remarks


def _split(line: str) -> tuple[str, str]:
    """A line's code and its comment, both stripped; a # within a text is no comment."""
    for place, _ in _outside_texts(line):
        if line[place] == "#" or line.startswith("//", place):
            return line[:place].strip(), line[place:].lstrip("#/").strip()
    return line.strip(), ""


def _open(code: str) -> bool:
    """Whether a bracket is still open, or an operator waits for its other side."""
    depth = sum(
        {"(": 1, "[": 1, "{": 1, ")": -1, "]": -1, "}": -1}.get(char, 0) for _, char in _outside_texts(code)
    )
    return depth > 0


def _outside_texts(code: str) -> Iterator[tuple[int, str]]:
    """Each character that is not within quotes, with its place; what `${…}` holds counts as text."""
    inside, depth, skip = False, 0, False
    for place, char in enumerate(code):
        if skip:
            skip = False
        elif inside:
            if char == "\\":
                skip = True
            elif code.startswith("${", place) or (depth and char == "{"):
                depth += 1
                skip = code.startswith("${", place)
            elif depth and char == "}":
                depth -= 1
            elif char == '"' and not depth:
                inside = False
        elif char == '"':
            inside = True
        else:
            yield place, char
