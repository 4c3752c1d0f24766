"""The canary: a small file that staging has to answer, put where people put theirs, before anybody is asked.

So the whole way is proven: the event, the roles, the model's own code, and that every row has its answer.
"""

import csv
import gzip
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
from .config import Canary, Settings
from .executions import SUCCEEDED, UNDER_WAY, Execution, Executions
from .objects import Uploaded
from .summary_table import Summary

Say = Callable[[str], None]

FOLDER = "canary/"
PAUSE = 5.0  # seconds between two looks
LONGEST_START = 300.0  # seconds until the event must have started the pipeline
LONGEST_RUN = 45 * 60.0  # seconds until it must be over; a build has 60 minutes


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
    canary = settings.transform.canary
    path = settings.root / canary.file
    bucket = settings.data_bucket(STAGING)
    s3 = session.client("s3")
    key = f"{settings.transform.input.prefix}{FOLDER}{name}{''.join(path.suffixes)}"
    began = time.monotonic()
    upload = objects.upload(s3, bucket, key, path, lambda _: None)
    say(f"canary: s3://{bucket}/{key} is there; waiting for its answers")
    executions = Executions(session.client("sagemaker"), settings.pipeline(STAGING))
    execution = _started(executions, upload)
    if execution is None:
        problem = (
            f"no execution of pipeline {settings.pipeline(STAGING)} was started for {key} within "
            f"{LONGEST_START:.0f} s; look at the rule's dead-letter queue, "
            f"{settings.project.slug}-undelivered-{STAGING}"
        )
        return Outcome((), (problem,), None, time.monotonic() - began, "")
    problem = _followed(executions, execution, began, say)
    if problem:
        return Outcome((), (problem,), None, time.monotonic() - began, execution.id)
    took = time.monotonic() - began
    summary, answers = _answers(s3, settings, bucket, key)
    rows = tuple(_rows(path, answers, settings, canary))
    return Outcome(rows, tuple(_judged(rows, summary, canary)), summary.model_version, took, execution.id)


def _started(executions: Executions, upload: Uploaded) -> Execution | None:
    deadline = time.monotonic() + LONGEST_START
    while time.monotonic() < deadline:
        found = executions.started_by([upload]).get(upload)
        if found is not None:
            return found
        time.sleep(PAUSE)
    return None


def _followed(executions: Executions, execution: Execution, began: float, say: Say) -> str:
    """Waits for the end; why it failed, or ""."""
    deadline = time.monotonic() + LONGEST_RUN
    told: dict[str, str] = {}
    while time.monotonic() < deadline:
        now, steps = executions.now(execution)
        for step in steps:
            if told.get(step.name) != step.status:
                told[step.name] = step.status
                say(f"canary: {time.monotonic() - began:5.0f} s  {step.title}: {step.status}")
        if now.status not in UNDER_WAY:
            if now.status == SUCCEEDED:
                return ""
            failed = next((step for step in steps if step.reason), None)
            reason = f"{failed.title}: {failed.reason}" if failed else now.reason
            return f"execution {execution.id} is {now.status}: {reason}"
        time.sleep(PAUSE)
    return f"execution {execution.id} was not over within {LONGEST_RUN / 60:.0f} minutes"


def _answers(s3: Any, settings: Settings, bucket: str, key: str) -> tuple[Summary, list[dict[str, Any]]]:
    """The summary, and the answered rows by column."""
    prefix, output = settings.transform.input.prefix, settings.transform.output
    begins = output.prefix + key.removeprefix(prefix)
    found = [each.key for each in objects.below(s3, bucket, begins)]
    summaries = [each for each in found if each.endswith(".summary.json")]
    if not summaries:
        raise UserError(f"s3://{bucket}/{begins}: expected the answers to the canary file, found none")
    document = objects.read_json(s3, bucket, summaries[0]) or {}
    summary = Summary.of(document, f"s3://{bucket}/{summaries[0]}")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "answers")
        objects.download(s3, bucket, summary.result_key, path)
        content = path.read_bytes()
    if output.compression == "gzip":
        content = gzip.decompress(content)
    return summary, read_rows(content.decode("utf-8"), output.format, ",")


def read_rows(text: str, kind: str, delimiter: str) -> list[dict[str, Any]]:
    """The rows of a small file, by column."""
    if kind == "jsonl":
        return [json.loads(line) for line in text.split("\n") if line.strip()]
    return list(csv.DictReader(text.splitlines(keepends=True), delimiter=delimiter))


def _rows(path: Path, answers: Sequence[dict[str, Any]], settings: Settings, canary: Canary) -> Iterator[Row]:
    taken, columns = settings.transform.input, settings.transform.output.columns
    content = path.read_bytes()
    plain = gzip.decompress(content) if path.suffix == ".gz" else content
    kind = "jsonl" if path.name.removesuffix(".gz").endswith((".jsonl", ".ndjson")) else "csv"
    asked = read_rows(plain.decode(taken.encoding).removeprefix("\ufeff"), kind, taken.delimiter)
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
