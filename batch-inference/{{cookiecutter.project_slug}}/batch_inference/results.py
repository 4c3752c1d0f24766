"""`results`: the newest answers and what is under way; with a name, the answers to that file."""

import argparse
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import places
from configuration import UserError
from release.aws import session, stop_on_other_account
from release.environments import ENVIRONMENTS, STAGING

from . import objects
from .config import Settings
from .executions import SUCCEEDED, UNDER_WAY, Execution, Executions
from .objects import OUTPUT, Stored, fetch_published
from .summary import Summary, columns, plain, table

NEWEST = 20  # answers in the table
LOOKED_AT = 30  # executions


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument("name", nargs="?", metavar="NAME", help="a file, by the name it was uploaded as")
    parser.add_argument("--environment", choices=ENVIRONMENTS, default=STAGING, help="default: staging")
    parser.add_argument(
        "--output", type=Path, default=OUTPUT, metavar="FOLDER", help=f"for the answers (default: {OUTPUT}/)"
    )


def run(settings: Settings, options: argparse.Namespace) -> int:
    """Shows; returns 0, or 1 when the file that was asked for has no answers.

    Raises:
        UserError: these are another account's credentials, or AWS refuses.
    """
    own = session(settings.project.region)
    stop_on_other_account(own, settings.account(options.environment), f"that of {options.environment}")
    s3, bucket = own.client("s3"), settings.data_bucket(options.environment)
    executions = Executions(own.client("sagemaker"), settings.pipeline(options.environment))
    where = _Where(s3, bucket, settings.transform.input.prefix, settings.transform.output.prefix)
    if options.name is None:
        print(_overview(where, executions))
        return 0
    return _one(where, executions, options.name, options.output)


class _Where(NamedTuple):
    """An environment's bucket, and its folders."""

    s3: Any
    bucket: str
    input: str
    output: str

    def summaries(self, start: str = "") -> list[Stored]:
        """The summaries of answers whose names begin so, the newest first."""
        found = [
            each
            for each in objects.below(self.s3, self.bucket, self.output + start)
            if each.key.endswith(places.SUMMARY)
        ]
        return sorted(found, key=lambda each: each.moment, reverse=True)

    def summary(self, stored: Stored) -> Summary | None:
        """Its content; None when it was deleted meanwhile."""
        document = objects.read_json(self.s3, self.bucket, stored.key)
        return None if document is None else Summary.of(document, f"s3://{self.bucket}/{stored.key}")


class _Unanswered(NamedTuple):
    """An execution that has no answers."""

    execution: Execution
    key: str


def _overview(where: _Where, executions: Executions) -> str:
    rows: list[tuple[str, ...]] = [
        ("file", "answered (UTC)", "rows", "answered", "bad", "review", "model", "most frequent label")
    ]
    found = where.summaries()
    for stored in found[:NEWEST]:
        if summary := where.summary(stored):
            rows.append(_row(where, stored, summary))
    lines = [columns(rows)] if len(rows) > 1 else [f"No answers in s3://{where.bucket}/{where.output} yet."]
    if len(found) > NEWEST:
        lines.append(f"and {len(found) - NEWEST} older ones in s3://{where.bucket}/{where.output}")
    unanswered = _unanswered(executions, islice(executions.newest_first(), LOOKED_AT))
    if running := [each for each in unanswered if each.execution.status in UNDER_WAY]:
        lines += ["", "Under way:", *(_line(where, each) for each in running)]
    if failed := [each for each in unanswered if each.execution.status not in UNDER_WAY]:
        lines += [
            "",
            "Not answered:",
            *(f"{_line(where, each)}\n    {_why(executions, each)}" for each in failed),
        ]
    return "\n".join(lines)


def _one(where: _Where, executions: Executions, name: str, folder: Path) -> int:
    for stored in where.summaries(name):
        summary = where.summary(stored)
        if summary and name in _names(where, summary):
            answers = fetch_published(
                where.s3, where.bucket, where.output, summary.result_key, stored.key, folder
            )
            print(f"{name}, answered {stored.moment:%Y-%m-%d %H:%M} UTC\n{table(answers.summary)}")
            print(f"\n  {answers.path}\n  s3://{where.bucket}/{summary.result_key}")
            _say_newer(where, executions, summary)
            return 0
    for each in _unanswered(executions, islice(executions.newest_first(), LOOKED_AT)):
        if each.key == where.input + name:
            words = "is under way" if each.execution.status in UNDER_WAY else _why(executions, each)
            print(f"{name}: execution {each.execution.id} {words}")
            return 1
    raise UserError(
        f"{name}: expected a file that was uploaded to s3://{where.bucket}/{where.input} and "
        "answered, found no answers to it; without a name, results lists what there is"
    )


def _say_newer(where: _Where, executions: Executions, summary: Summary) -> None:
    """These answers may be to an older upload than the one that a person has in mind."""
    for each in _unanswered(executions, islice(executions.newest_first(), LOOKED_AT)):
        if each.key == summary.source_key:
            words = (
                "is under way"
                if each.execution.status in UNDER_WAY
                else "was not answered: " + _why(executions, each)
            )
            print(f"\nA newer upload (execution {each.execution.id}) {words}")
            return


def _names(where: _Where, summary: Summary) -> tuple[str, str]:
    return summary.source_key.removeprefix(where.input), summary.result_key.removeprefix(where.output)


def _unanswered(executions: Executions, newest_first: Iterable[Execution]) -> list[_Unanswered]:
    """Of these executions, what is under way or has failed, but for what was answered after that."""
    answered: set[str] = set()
    found = []
    for execution in newest_first:
        key = executions.parameters(execution).get("Key", "")
        if execution.status == SUCCEEDED:
            answered.add(key)
        elif key not in answered:
            answered.add(key)  # an older attempt at the same file is no news
            found.append(_Unanswered(execution, key))
    return found


def _row(where: _Where, stored: Stored, summary: Summary) -> tuple[str, ...]:
    labels = [
        f"{name}: {most}" if name else most
        for name, figures in summary.targets.items()
        if (most := figures.most_frequent(summary.answered))
    ]
    reviews = summary.needs_review.values()
    return (
        plain(summary.source_key.removeprefix(where.input), 48),
        f"{stored.moment:%Y-%m-%d %H:%M}",
        f"{summary.rows:,}",
        f"{summary.answered:,}",
        f"{summary.bad:,}",
        "/".join(f"{count:,}" for count in reviews) or "-",
        f"version {summary.model_version}",
        ", ".join(labels),
    )


def _line(where: _Where, each: _Unanswered) -> str:
    name = plain(each.key.removeprefix(where.input), 60) or "(no file)"
    return f"  {name}  since {each.execution.started:%Y-%m-%d %H:%M} UTC, execution {each.execution.id}"


def _why(executions: Executions, each: _Unanswered) -> str:
    _, steps = executions.now(each.execution)
    reasons = [f"step {step.name} failed: {step.reason}" for step in steps if step.status == "Failed"]
    return "; ".join(reasons) or each.execution.reason or each.execution.status.lower()
