"""What a model answers about texts, and which answer belongs to which row.

The forms are those of an endpoint with model-build's steps/inference.py:

- one target: ``{"label": text, "score": number}``, or a list of them, best first
- several targets: an object for each, ``{"sentiment": {"label", "score"}, "topics": {"labels": [{"label",
  "score"}, …]}}``; a target of which a text has any number of labels has ``labels``, maybe none
- a model that says what a person should look at has ``"needs_review": true`` or ``false`` beside them (in a
  list beside the first)

What a file's first readable answer is made of, all its answers are made of: one model has given them.

A wrong pair would be worse than no answer, so everything is checked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Optional

import json_lines
from failure import StepError

NO_ANSWER = "the model gave no answer"
INCOMPLETE = "answers are missing beside this one, and nothing tells which"
OTHER_TARGETS = "the model's answer has other targets than its first one in this file"


class Target(NamedTuple):
    """What a model decides about a text."""

    name: str
    """Of a model with a single target it is not told: empty."""
    several: bool = False
    """Whether a text may have any number of its labels."""
    reviewed: bool = False
    """Whether an answer says if a person should look at it."""


class Said(NamedTuple):
    """The answer of one target: labels with their scores, best first, and whether a person should look."""

    labels: list[tuple[str, float]]
    needs_review: bool | None = None


Answer = list[Said]
"""What was said of each target, in the order of the targets."""

ONE = (Target(""),)
_LARGEST = 1e300
_NUMBERS = (float, int)
_SEVERAL = {"labels", "needs_review"}  # and no more: of several targets one may be called "labels"
_Read = Callable[[Any], Optional[Said]]


def targets_of(answer: Any) -> tuple[Target, ...] | None:
    """Return what an answer is made of, or None when it cannot be read."""
    single = _target("", answer)
    if single is not None:
        targets: tuple[Target, ...] = (single,)
    elif isinstance(answer, dict):
        found = [_target(name, value) for name, value in answer.items()]
        targets = tuple(target for target in found if target is not None)
        if len(targets) < len(answer) or not targets:
            return None
    else:
        return None
    return targets if reader(targets, 1)(answer) is not None else None


def reader(targets: Sequence[Target], top_labels: int) -> Callable[[Any], Answer | None]:
    """Return the function that reads answers of this form; it returns None for any other.

    Args:
        targets: what the answers are made of.
        top_labels: how many labels to read at most of a target that has one.
    """
    reads = [
        (target.name, _several(target) if target.several else _one(target, top_labels)) for target in targets
    ]
    (name, read), *others = reads
    if not name:

        def read_single(answer: Any) -> Answer | None:
            said = read(answer)
            return None if said is None else [said]

        return read_single

    names = {name for name, _ in reads}

    def read_each(answer: Any) -> Answer | None:
        if not isinstance(answer, dict) or answer.keys() != names:
            return None
        found: Answer = []
        for name, read in reads:
            said = read(answer[name])
            if said is None:
                return None
            found.append(said)
        return found

    return read_each


def _target(name: str, value: Any) -> Target | None:
    """Return what one target's answer looks like; its labels and scores are not looked at yet."""
    first = value[0] if isinstance(value, list) and value else value
    if not isinstance(first, dict):
        return None
    reviewed = "needs_review" in first
    if isinstance(first.get("label"), str):
        return Target(name, False, reviewed)
    if first is value and isinstance(first.get("labels"), list) and first.keys() <= _SEVERAL:
        return Target(name, True, reviewed)
    return None


def _one(target: Target, top_labels: int) -> _Read:
    reviewed = target.reviewed

    def read(value: Any) -> Said | None:
        if isinstance(value, dict):
            value = [value]
        elif not isinstance(value, list):
            return None
        labels = _labels(value[:top_labels])
        if not labels:
            return None
        if not reviewed:
            return None if "needs_review" in value[0] else Said(labels, None)
        review = value[0].get("needs_review")
        return Said(labels, review) if isinstance(review, bool) else None

    return read


def _several(target: Target) -> _Read:
    def read(value: Any) -> Said | None:
        if not isinstance(value, dict) or not isinstance(value.get("labels"), list):
            return None
        labels, review = _labels(value["labels"]), value.get("needs_review")
        if labels is None or isinstance(review, bool) != target.reviewed:
            return None
        return Said(labels, review)

    return read


def _labels(values: list[Any]) -> list[tuple[str, float]] | None:
    """Return labels with scores, or None when one of them is not ``{"label": text, "score": number}``."""
    labels = []
    for each in values:
        if not isinstance(each, dict):
            return None
        label = each.get("label")
        score: Any = each.get("score")
        # NaN is within nothing, and true is of neither type
        if not isinstance(label, str) or type(score) not in _NUMBERS or not -_LARGEST < score < _LARGEST:
            return None
        labels.append((label, score))
    return labels


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
