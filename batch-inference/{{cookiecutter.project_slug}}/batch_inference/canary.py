"""The canary: a small file that staging has to answer, put where people put theirs, before anybody is asked.

So the whole way is proven: the event, the roles, the model's own code, and that every row has its answer.
"""

import csv
import gzip
import io
import json
import re
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import places
from columns import target_columns
from configuration import UserError
from model_answers import Target as Answered
from release.aws import Session
from release.environments import STAGING

from . import objects
from .config import TRANSFORM_FILE, Canary, Settings
from .executions import Executions, follow, where_to_look
from .summary import Figures, Summary

Say = Callable[[str], None]

FOLDER = "canary/"


class Judged(NamedTuple):
    """What was answered about one target of a row, and what would have been right."""

    target: str  # "" of a model that has one
    several: bool
    wanted: tuple[str, ...] | None  # the right labels, where the file has some
    labels: tuple[str, ...]
    score: float | None  # None of several labels
    needs_review: bool | None  # None: the model does not say it

    @property
    def right(self) -> bool:
        """Whether the labels are as wanted; where none are, whether there is an answer."""
        if self.wanted is None:
            return self.several or bool(self.labels)
        return sorted(self.labels) == sorted(self.wanted)


class Row(NamedTuple):
    """One row of the canary file."""

    text: str
    judged: tuple[Judged, ...]  # of each target
    error: str | None

    @property
    def answered(self) -> bool:
        """Whether the model said something about each target; of several labels that may be none."""
        return self.error is None and all(each.labels or each.several for each in self.judged)


class Outcome(NamedTuple):
    """What became of the file.

    Attributes:
        rows: in the order of the file; empty if there is no answer.
        problems: what is wrong, as sentences; empty: all is well.
        version: of the model that answered; None if none did.
        seconds: from the upload to the answers.
        execution: of the SageMaker pipeline; "" if none was started.
    """

    rows: tuple[Row, ...]
    problems: tuple[str, ...]
    version: int | None
    seconds: float
    execution: str

    def in_words(self) -> str:
        """For a person."""
        agreed = "".join(
            f", {right} of {count} with the right {target or 'label'}"
            for target, (right, count) in agreement(self.rows).items()
        )
        return (
            f"model version {self.version} answered {len(self.rows)} rows of the canary file in "
            f"{self.seconds:.0f} s{agreed}"
        )


def agreement(rows: Sequence[Row]) -> dict[str, tuple[int, int]]:
    """For each target with right labels in the file, how many rows have them, of how many."""
    found: dict[str, tuple[int, int]] = {}
    for each in (each for row in rows for each in row.judged if each.wanted is not None):
        right, count = found.get(each.target, (0, 0))
        found[each.target] = (right + each.right, count + 1)
    return found


def run(session: Session, settings: Settings, name: str, say: Say) -> Outcome:
    """Has the canary file answered in staging.

    Args:
        session: of the deployment role.
        settings: of the repository.
        name: what the file is called there; new each time.
        say: is told how far it is.

    Raises:
        UserError: AWS does not answer.
    """
    canary, bucket = settings.transform.canary, settings.data_bucket(STAGING)
    path = settings.root / canary.file
    s3 = session.client("s3")
    key = f"{settings.transform.input.prefix}{FOLDER}{name}{''.join(path.suffixes)}"
    began = time.monotonic()
    upload = objects.upload(s3, bucket, key, path, lambda _: None)
    say(f"The canary file is at s3://{bucket}/{key}; waiting for its answers")
    executions = Executions(session.client("sagemaker"), settings.pipeline(STAGING))
    (end,) = follow(executions, [(upload, "canary")], where_to_look(settings, STAGING), say)
    took = time.monotonic() - began
    if end.execution is None or end.problem:
        return Outcome((), (end.problem,), None, took, end.execution.id if end.execution else "")
    with tempfile.TemporaryDirectory() as folder:
        found = objects.fetch(s3, bucket, settings.transform.output.prefix, end.execution.id, Path(folder))
        answers = read_rows(_plain(found.path), settings.transform.output.format, "utf-8", ",")
    rows, problems = judge(settings, answers, found.summary)
    return Outcome(rows, problems, found.summary.model_version, took, end.execution.id)


def judge(
    settings: Settings, answers: Sequence[dict[str, Any]], summary: Summary
) -> tuple[tuple[Row, ...], tuple[str, ...]]:
    """The rows of the canary file with what was answered, and what is wrong with that.

    Raises:
        UserError: there are more or fewer answers than rows.
    """
    canary = settings.transform.canary
    wanted, problems = _wanted(canary, summary)
    rows = tuple(_rows(settings.root / canary.file, answers, settings, summary, wanted))
    return rows, (*problems, *_problems(rows, summary, canary))


def read_rows(content: bytes, kind: str, encoding: str, delimiter: str) -> list[dict[str, Any]]:
    """The rows of a small file, by column."""
    text = content.decode(encoding).removeprefix("\ufeff")
    if kind == "jsonl":
        return [json.loads(line) for line in text.split("\n") if line.strip()]
    return list(csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter))


def _plain(path: Path) -> bytes:
    """A file's content, unpacked."""
    content = path.read_bytes()
    return gzip.decompress(content) if path.name.lower().endswith(".gz") else content


def _wanted(canary: Canary, summary: Summary) -> tuple[dict[str, str], tuple[str, ...]]:
    """For each target the column of the canary file with the right labels, and what is wrong with that."""
    given, targets = canary.label_column, list(summary.targets)
    if given is None:
        return {}, ()
    if isinstance(given, str):
        # one column is enough for several targets where it is called like one of them
        given = {targets[0] if len(targets) == 1 else given: given}
    elif targets == [""] and len(given) == 1:
        given = {"": next(iter(given.values()))}
    unknown = [name for name in given if name not in targets]
    if unknown:
        found = "a single target" if targets == [""] else f"the targets {', '.join(targets)}"
        problem = (
            f"canary.label_column: expected targets of the model, got {', '.join(unknown)}; version "
            f"{summary.model_version} answers {found}: change it in {TRANSFORM_FILE}"
        )
        return {name: column for name, column in given.items() if name in targets}, (problem,)
    return given, ()


def _rows(
    path: Path,
    answers: Sequence[dict[str, Any]],
    settings: Settings,
    summary: Summary,
    wanted: Mapping[str, str],
) -> Iterator[Row]:
    taken, names = settings.transform.input, settings.transform.output.columns.names
    kind = places.kind(path.name, list(taken.formats))
    asked = read_rows(_plain(path), kind.format if kind else "csv", taken.encoding, taken.delimiter)
    if len(asked) != len(answers):
        raise UserError(
            f"canary: expected {len(asked)} rows as in {settings.transform.canary.file}, got {len(answers)}"
        )
    for row, answer in zip(asked, answers, strict=True):
        yield Row(
            " | ".join(str(row.get(name) or "") for name in taken.text_columns),
            tuple(
                _judged(names, name, figures, answer, row.get(wanted.get(name, "")))
                for name, figures in summary.targets.items()
            ),
            answer.get(names["error"]) or None,
        )


def _judged(
    names: Mapping[str, str], target: str, figures: Figures, answer: Mapping[str, Any], wanted: Any
) -> Judged:
    """What a row of the answers says of one target."""
    reviewed = figures.needs_review is not None
    columns = target_columns(names, Answered(target, figures.several, reviewed))
    said: dict[str, Any] = {column.key: answer.get(name) for name, column in columns}
    found = said["label"]
    if figures.several:
        labels = found if isinstance(found, list) else parted(found or "")
    else:
        labels = [found] if found else []
    given = None if figures.several or said["score"] in (None, "") else float(said["score"])
    right: list[str] | None = None
    if figures.several and wanted is not None:  # an empty cell: none of the labels
        right = parted(str(wanted))
    elif wanted:
        right = [str(wanted)]
    review = str(said["needs_review"]).lower() == "true" if reviewed else None
    return Judged(
        target, figures.several, None if right is None else tuple(right), tuple(labels), given, review
    )


def parted(cell: str) -> list[str]:
    """The labels in a cell, as steps/results.py writes them: with `;` between, and \\; for one inside."""
    parts = re.findall(r"(?:^|;)((?:[^;\\]|\\.)*)", cell) if cell else []
    return [re.sub(r"\\(.)", r"\1", part).strip() for part in parts]


def _problems(rows: Sequence[Row], summary: Summary, canary: Canary) -> Iterator[str]:
    for number, row in enumerate(rows, 1):
        if not row.answered:
            yield f"{canary.file}: row {number} has no answer: {row.error or 'no reason is given'}"
    found = agreement(rows)
    if canary.label_column and not found:
        names = (
            [canary.label_column] if isinstance(canary.label_column, str) else canary.label_column.values()
        )
        yield f"{canary.file}: expected labels in the column {' or '.join(names)}, found none"
    for target, (right, count) in found.items():
        percent = 100 * right / count
        if percent < canary.min_agreement_percent:
            yield (
                f"version {summary.model_version} gave {right} of {count} rows the right "
                f"{target or 'label'}, {percent:.0f} %; expected at least "
                f"{canary.min_agreement_percent:g} % (canary.min_agreement_percent)"
            )
