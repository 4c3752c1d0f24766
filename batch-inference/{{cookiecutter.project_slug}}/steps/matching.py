"""Which answer belongs to which row. A wrong pair would be worse than no answer, so everything is checked."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import json_lines
from failure import StepError
from model_answers import Answer, Target, reader, targets_of

NO_ANSWER = "the model gave no answer"
INCOMPLETE = "answers are missing beside this one, and nothing tells which"
OTHER_TARGETS = "the model's answer has other targets than its first one in this file"


class Matched(NamedTuple):
    """A row as normalise.py wrote it, the answer to it or None, and why there is none."""

    row: dict[str, Any]
    answer: Answer | None
    error: str | None


class _Line(NamedTuple):
    """A line of the output: its number, the id of its row if it tells one, the answer or what is wrong."""

    number: int
    id: float | None
    answer: Answer | None
    error: str | None


class Reader:
    """Reads answers that are made of these targets.

    Args:
        targets: of the model.
        top_labels: how many labels to read at most of a target that has one.
    """

    def __init__(self, targets: tuple[Target, ...], top_labels: int) -> None:
        self._targets = targets
        self._read: Callable[[Any], Answer | None] = reader(targets, top_labels)

    def lines(self, path: Path, joined: bool) -> Iterator[_Line]:
        """Yield the lines of a file of answers."""
        read = self._read
        for number, line in _lines(path):
            id, answer = parse(line, joined)
            found = read(answer)
            yield _Line(number, id, found, None if found is not None else self._why(answer))

    def _why(self, answer: Any) -> str:
        """Return why that is no answer."""
        return OTHER_TARGETS if targets_of(answer) not in (None, self._targets) else NO_ANSWER


def first_targets(paths: Sequence[Path], joined: bool) -> tuple[Target, ...] | None:
    """Return what the first answer that can be read is made of, or None when none can be read."""
    for path in paths:
        for _, line in _lines(path):
            if targets := targets_of(parse(line, joined)[1]):
                return targets
    return None


def parse(line: bytes, joined: bool) -> tuple[float | None, Any]:
    """Return the id of a line's row if it tells one, and the answer; None if it has none."""
    try:
        answer = json_lines.load(line.decode())
    except ValueError:
        return None, None
    if not joined:
        return None, answer
    if isinstance(answer, dict) and isinstance(answer.get("id"), (int, float)):
        return answer["id"], answer.get("SageMakerOutput")
    return None, None


def match_by_id(rows: Iterable[dict[str, Any]], path: Path, reader: Reader) -> Iterator[Matched]:
    """Yield the rows of a part; each line of the answers tells the id of its row.

    Lines are in the order of the rows. A row is without answer when its line is missing or cannot be read.

    Raises:
        StepError: a line too many, or of a row that was not asked or that is not the next.
    """
    lines = reader.lines(path, joined=True)
    line = next(lines, None)
    for row in rows:
        if not row["asked"]:
            yield Matched(row, None, row["error"])
            continue
        told = line.id if line else None
        if line is None or (told is not None and told > row["id"]):
            yield Matched(row, None, NO_ANSWER)
            continue
        if told is not None and told < row["id"]:
            raise StepError(
                f"{path.name}: line {line.number:,} answers row {told:.0f}, which was not asked or has its "
                f"answer already; expected row {row['id']}"
            )
        yield Matched(row, line.answer, line.error)
        line = next(lines, None)
    if line is not None:
        whose = "no row that it tells" if line.id is None else f"row {line.id:.0f}"
        raise StepError(
            f"{path.name}: line {line.number:,} is one too many: it answers {whose}, "
            "and all rows of this part that were asked have their answer"
        )


def match_by_position(
    rows: Iterable[dict[str, Any]], path: Path, reader: Reader, asked: int
) -> Iterator[Matched]:
    """Yield the rows of a part; the lines of the answers are in the order of the rows that were asked.

    When there are too few, nothing tells which are missing, so that no row of the part has an answer.

    Raises:
        StepError: there are too many lines.
    """
    count = sum(1 for _ in _lines(path))
    if count > asked:
        raise StepError(f"{path.name}: {count:,} answers to {asked:,} rows that were asked")
    lines = reader.lines(path, joined=False)
    for row in rows:
        if not row["asked"]:
            yield Matched(row, None, row["error"])
        elif count < asked:
            yield Matched(row, None, INCOMPLETE)
        else:
            line = next(lines)
            yield Matched(row, line.answer, line.error)


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Yield the lines that are not blank, numbered from 1 over all."""
    with path.open("rb", buffering=1 << 20) as file:
        for number, line in enumerate(file, 1):
            if not line.isspace():
                yield number, line
