"""Which answer belongs to which row. A wrong pair would be worse than no answer, so everything is checked."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import json_lines
from failure import StepError

NO_ANSWER = "the model gave no answer"
INCOMPLETE = "answers are missing beside this one, and nothing tells which"

Best = list[tuple[str, float]]
"""Classes with their scores, best first."""


class Matched(NamedTuple):
    """A row as normalise.py wrote it, the answer to it or None, and why there is none."""

    row: dict[str, Any]
    best: Best | None
    error: str | None


class _Answer(NamedTuple):
    """A line of the output: its number, the id of its row if it tells one, the answer if it can be read."""

    line: int
    id: float | None
    best: Best | None


def match_by_id(rows: Iterable[dict[str, Any]], path: Path, top_labels: int) -> Iterator[Matched]:
    """Yield the rows of a part; each line of the answers tells the id of its row.

    Lines are in the order of the rows. A row is without answer when its line is missing or cannot be read.

    Raises:
        StepError: a line too many, or of a row that was not asked or that is not the next.
    """
    answers = _answers(path, top_labels, joined=True)
    answer = next(answers, None)
    for row in rows:
        if not row["asked"]:
            yield Matched(row, None, row["error"])
            continue
        told = answer.id if answer else None
        if answer is None or (told is not None and told > row["id"]):
            yield Matched(row, None, NO_ANSWER)
            continue
        if told is not None and told < row["id"]:
            raise StepError(
                f"{path.name}: line {answer.line:,} answers row {told:.0f}, which was not asked or has its "
                f"answer already; expected row {row['id']}"
            )
        yield Matched(row, answer.best, None if answer.best else NO_ANSWER)
        answer = next(answers, None)
    if answer is not None:
        whose = "no row that it tells" if answer.id is None else f"row {answer.id:.0f}"
        raise StepError(
            f"{path.name}: line {answer.line:,} is one too many: it answers {whose}, "
            "and all rows of this part that were asked have their answer"
        )


def match_by_position(
    rows: Iterable[dict[str, Any]], path: Path, top_labels: int, asked: int
) -> Iterator[Matched]:
    """Yield the rows of a part; the lines of the answers are in the order of the rows that were asked.

    When there are too few, nothing tells which are missing, so that no row of the part has an answer.

    Raises:
        StepError: there are too many lines.
    """
    count = sum(1 for _ in _lines(path))
    if count > asked:
        raise StepError(f"{path.name}: {count:,} answers to {asked:,} rows that were asked")
    answers = _answers(path, top_labels, joined=False)
    for row in rows:
        if not row["asked"]:
            yield Matched(row, None, row["error"])
        elif count < asked:
            yield Matched(row, None, INCOMPLETE)
        else:
            best = next(answers).best
            yield Matched(row, best, None if best else NO_ANSWER)


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Yield the lines that are not blank, numbered from 1 over all."""
    with path.open("rb", buffering=1 << 20) as file:
        for number, line in enumerate(file, 1):
            if not line.isspace():
                yield number, line


def _answers(path: Path, top_labels: int, joined: bool) -> Iterator[_Answer]:
    for number, line in _lines(path):
        try:
            answer = json_lines.load(line.decode())
        except ValueError:
            yield _Answer(number, None, None)
            continue
        if not joined:
            yield _Answer(number, None, read_best(answer, top_labels))
        elif isinstance(answer, dict) and isinstance(answer.get("id"), (int, float)):
            yield _Answer(number, answer["id"], read_best(answer.get("SageMakerOutput"), top_labels))
        else:
            yield _Answer(number, None, None)


def read_best(answer: Any, top_labels: int) -> Best | None:
    """Return the classes of a model's answer, or None when it is not one.

    Args:
        answer: a list of ``{"label": text, "score": number}``, best first, or one of them by itself.
        top_labels: how many of them to return at most.
    """
    best: Best = []
    for each in ([answer] if isinstance(answer, dict) else answer if isinstance(answer, list) else [])[
        :top_labels
    ]:
        label, score = (each.get("label"), each.get("score")) if isinstance(each, dict) else (None, None)
        if not isinstance(label, str) or isinstance(score, bool) or not isinstance(score, (int, float)):
            return None
        if not math.isfinite(score):
            return None
        best.append((label, score))
    return best or None
