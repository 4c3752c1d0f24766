"""The canary: a small file that staging has to answer, put where people put theirs, before anybody is asked.

So the whole way is proven: the event, the roles, the model's own code, and that every row has its answer.
"""

import csv
import gzip
import io
import json
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from configuration.errors import UserError
from release.aws import Session
from release.environments import STAGING

from . import objects
from .answers import fetch
from .config import Canary, Settings
from .executions import Executions
from .follow import follow, where_to_look
from .scripts import places
from .summary_table import Summary

Say = Callable[[str], None]

FOLDER = "canary/"


class Row(NamedTuple):
    """One row of the canary file."""

    text: str
    wanted: str | None  # the right label, where the file has one
    label: str | None
    score: float | None
    error: str | None

    @property
    def right(self) -> bool:
        """Whether the label is as wanted; where none is, whether there is one."""
        return bool(self.label) if self.wanted is None else self.label == self.wanted


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
        labelled = [row for row in self.rows if row.wanted is not None]
        right = sum(row.right for row in labelled)
        agreed = f", {right} of {len(labelled)} with the right label" if labelled else ""
        return (
            f"model version {self.version} answered {len(self.rows)} rows of the canary file in "
            f"{self.seconds:.0f} s{agreed}"
        )


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
        found = fetch(s3, bucket, settings.transform.output.prefix, end.execution.id, Path(folder))
        answers = read_rows(_plain(found.path), settings.transform.output.format, "utf-8", ",")
    rows = tuple(_rows(path, answers, settings, canary))
    problems = tuple(_judged(rows, found.summary, canary))
    return Outcome(rows, problems, found.summary.model_version, took, end.execution.id)


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


def _rows(path: Path, answers: Sequence[dict[str, Any]], settings: Settings, canary: Canary) -> Iterator[Row]:
    taken, columns = settings.transform.input, settings.transform.output.columns
    kind = places.kind(path.name, list(taken.formats))
    asked = read_rows(_plain(path), kind.format if kind else "csv", taken.encoding, taken.delimiter)
    if len(asked) != len(answers):
        raise UserError(f"canary: expected {len(asked)} rows as in {canary.file}, got {len(answers)}")
    for row, answer in zip(asked, answers, strict=True):
        wanted = row.get(canary.label_column) if canary.label_column else None
        score = answer.get(columns.score)
        yield Row(
            " | ".join(str(row.get(name) or "") for name in taken.text_columns),
            wanted or None,
            answer.get(columns.label) or None,
            float(score) if score not in (None, "") else None,
            answer.get(columns.error) or None,
        )


def _judged(rows: Sequence[Row], summary: Summary, canary: Canary) -> Iterator[str]:
    without = [number for number, row in enumerate(rows, 1) if row.label is None]
    for number in without:
        yield f"{canary.file}: row {number} has no answer: {rows[number - 1].error or 'no reason is given'}"
    labelled = [row for row in rows if row.wanted is not None]
    if not labelled:
        if canary.label_column:
            yield f"{canary.file}: expected labels in the column {canary.label_column}, found none"
        return
    right = sum(row.right for row in labelled)
    percent = 100 * right / len(labelled)
    if percent < canary.min_agreement_percent:
        yield (
            f"version {summary.model_version} gave {right} of {len(labelled)} rows the right label, "
            f"{percent:.0f} %; expected at least {canary.min_agreement_percent:g} % "
            "(canary.min_agreement_percent)"
        )
