"""Put the answers of a SageMaker transform job beside the rows that normalise.py kept.

Run by a SageMaker processing job, or by hand in the folder of an execution::

    python code/answer.py --rows rows --answers answers --request request --report report --result result

It reads the parts of ``--rows`` and ``--answers`` side by side, and writes below ``--result`` the file that
request.json names, summary.json, and watch.json (counts.py).

The rules:

- The result has the rows of the source in their order: the carried columns as they were, then for each target
  of the model the class and its score (with ``--top-labels`` the next ones, too), or the classes and their
  scores; the version of the model; and the error of a row that has no answer. What the model answers decides:
  its first answer that can be read (model_answers.py has the forms). Where nothing was asked, or nothing can
  be read, there are the columns of a single target.
- With ``--join Input`` each answer is ``{"id": 17, "SageMakerOutput": ANSWER}``; with ``None`` it is ANSWER,
  and belongs to the row at its place among those that were asked.
- A row whose answer is missing or cannot be read is bad; with more than ``--max-bad-percent`` of the rows bad
  (those that normalise.py found count, too) the step fails. An answer too many, or to a row that was not
  asked, fails it in any case: it would not be certain which answer is whose.

Memory does not grow with the number of rows.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from columns import added_key, check_added
from counts import Answers, Summary
from failure import StepError, run
from job import (
    FORMATS,
    INPUT,
    OUTPUT,
    Progress,
    Request,
    add_common,
    add_folders,
    check_common,
    declared_names,
    read_request,
)
from model_answers import ONE, Matched, Reader, Target, first_targets, match_by_id, match_by_position
from parts import Part, part_name
from results import Added, CsvResult, JsonResult, new_file

REPORT = "report.json"
SUMMARY = "summary.json"
WATCH = "watch.json"


def main(arguments: Sequence[str] | None = None) -> None:
    """Do what the module says."""
    given = parse_arguments(arguments)
    request = read_request(given.request)
    check_name(request.result, given.format, given.compression)
    report = json.loads((given.report / REPORT).read_text(encoding="utf-8"))
    parts = [Part(**part) for part in report["parts"]]
    check_answers(given.answers, parts)
    targets = find_targets(given, parts)
    added = Added(declared_names(given), targets, request.model_package_version, given.top_labels)
    check_added(request.key, report["columns"], added.columns)
    summary, watched, progress = Summary(targets), Answers(targets), Progress("written")
    with new_file(given.result / request.result, given.compression == "gzip") as stream:
        result = (CsvResult if given.format == "csv" else JsonResult)(stream, report["columns"], added)
        for row, answer, error in match(given, parts, Reader(targets, given.top_labels)):
            if "columns" in row and error is None and (error := added_key(row["columns"], added.columns)):
                row, answer = {"id": row["id"], "values": []}, None
            result.add(row, answer, error)
            summary.add(row["id"], answer, error)
            if answer is not None and error is None:
                watched.add(answer)
            if summary.rows % Progress.EVERY == 0:
                progress.at(summary.rows)
        summary.errors.refuse_too_many(request.key, summary.rows, given.max_bad_percent)
    left_out = report["other_columns"] if given.format == "csv" else []
    content = {**summary.report(), "left_out_columns": left_out, **provenance(request)}
    (given.result / SUMMARY).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    watch = watched.report(report.get("words", {}))
    (given.result / WATCH).write_text(json.dumps(watch) + "\n", encoding="utf-8")
    summarise(request, content, progress)


def check_name(name: str, format: str, compression: str) -> None:
    """Check that the result's name, which begin.py has chosen, says what will be in it.

    Raises:
        StepError: it does not.
    """
    ending = f".{format}" + (".gz" if compression == "gzip" else "")
    if not name.endswith(ending):
        raise StepError(
            f"request.json: result: expected a name that ends in {ending}, got {name!r}: the pipeline and "
            "its functions are not of the same deployment; deploy again"
        )


def check_answers(folder: Path, parts: Sequence[Part]) -> None:
    """Check that there are answers to each part in which rows were asked, and to no other.

    Raises:
        StepError: that is not so.
    """
    expected = {answers_name(number) for number, part in enumerate(parts) if part.asked}
    found = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    for problem, names in (
        ("is missing", expected - found),
        ("belongs to no part that was asked", found - expected),
    ):
        if names:
            more = f" (and {len(names) - 1:,} more)" if len(names) > 1 else ""
            raise StepError(f"answers: {min(names)}{more} {problem}: start the execution again")


def answers_name(number: int) -> str:
    """Return the name that SageMaker gives the answers to a part."""
    return part_name(number) + ".out"


def find_targets(given: argparse.Namespace, parts: Sequence[Part]) -> tuple[Target, ...]:
    """Return what the model answers about a text."""
    paths = [given.answers / answers_name(number) for number, part in enumerate(parts) if part.asked]
    return first_targets(paths, joined=given.join == "Input") or ONE


def match(given: argparse.Namespace, parts: Sequence[Part], reader: Reader) -> Iterator[Matched]:
    """Yield all rows with their answers.

    Raises:
        StepError: the answers do not fit the rows, or the rows are not those that the report counts.
    """
    for number, part in enumerate(parts):
        counted = Part()
        rows = read_rows(given.rows / part_name(number), counted)
        answers = given.answers / answers_name(number)
        if not part.asked:
            yield from (Matched(row, None, row["error"]) for row in rows)
        elif given.join == "Input":
            yield from match_by_id(rows, answers, reader)
        else:
            yield from match_by_position(rows, answers, reader, part.asked)
        if counted != part:
            raise StepError(
                f"rows: {part_name(number)}: expected {part.rows:,} rows, {part.asked:,} of them asked, "
                f"found {counted.rows:,} and {counted.asked:,}: start the execution again"
            )


def read_rows(path: Path, counted: Part) -> Iterator[dict[str, Any]]:
    """Yield the rows of a part, counted while they pass."""
    with path.open(encoding="utf-8", newline="\n", buffering=1 << 20) as file:
        for line in file:
            row = json.loads(line)
            counted.rows += 1
            counted.asked += row["asked"]
            yield row


def provenance(request: Request) -> dict[str, Any]:
    """Return which model has answered which file."""
    return {
        "model_package_arn": request.model_package_arn,
        "model_package_version": request.model_package_version,
        "source": {"bucket": request.bucket, "key": request.key, "version_id": request.version_id},
        "execution_id": request.execution_id,
        "result_key": request.result_key,
    }


def summarise(request: Request, summary: dict[str, Any], progress: Progress) -> None:
    """Print what was answered."""
    print(
        f"{request.key}: {summary['rows']:,} rows, of which {summary['answered']:,} are answered; "
        f"{summary['empty']:,} have no text, {summary['bad']:,} are bad {progress.end(summary['rows'])}"
    )
    for name, figures in summary.get("targets", {"": summary}).items():
        indent = "  "
        if name:
            print(f"  {name}:")
            indent = "    "
        for label, count in list(figures["labels"].items())[:20]:
            print(f"{indent}{label}: {count:,}, mean score {figures['mean_scores'][label]:.3f}")
        if "without_label" in figures:
            print(f"{indent}no label: {figures['without_label']:,}")
        if "needs_review" in figures:
            print(f"{indent}a person should look at {figures['needs_review']:,}")
    if summary["left_out_columns"]:
        names = ", ".join(summary["left_out_columns"])
        print(f"  not in the CSV, because the first object does not have them: {names}")


def parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Return the arguments.

    Raises:
        StepError: one cannot be meant.
    """
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").split("\n")[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        allow_abbrev=False,
    )
    add_folders(
        parser,
        INPUT,
        rows="folder with the rows of normalise.py",
        answers="folder with what the transform job answered; may be missing when nothing was asked",
        request="folder with request.json",
        report="folder with report.json of normalise.py",
    )
    add_folders(parser, OUTPUT, result="folder for the result and summary.json")
    parser.add_argument(
        "--join", choices=("Input", "None"), default="Input", help="whether an answer has the id of its row"
    )
    parser.add_argument("--format", choices=FORMATS, default="csv", help="of the result")
    parser.add_argument("--compression", choices=("none", "gzip"), default="none", help="of the result")
    add_common(parser)
    given = parser.parse_args(arguments)
    check_common(given)
    return given


if __name__ == "__main__":
    sys.exit(run(main))
