"""Makes one HTML page of a survey's answers: an example of what to do with the files in output/.

    python examples/survey_summary.py results/survey_month.csv
    python examples/survey_summary.py results/sentiment.csv results/category.csv --output july.html
    python examples/survey_summary.py results/survey_month.csv --label sentiment_label

Copy this file and survey_page.py wherever you like: they need Python and nothing else. What the page shows:

* how many comments had which label, day by day (week by week if they cover more than seven weeks)
* with several targets, the one by the other; those of other files are joined by --id-column
* the comments that the model was most certain of, to see what a label stands for; what a person should read
* how many rows have no answer, and why

A file's targets are found by their columns: label and score, or sentiment_label and sentiment_score, or,
where a comment may have several labels, topics_labels and topics_scores; and topics_needs_review. --label
chooses one of them, or any other column, such as sentiment, with its score in sentiment_score or score.
"""

import argparse
import csv
import gzip
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path

from survey_page import Comment, Said, Survey, Target, page

Row = dict[str, str]


class Unreadable(Exception):
    """A file is not as expected; the text says how."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Reads, writes the page; returns the exit status."""
    options = parser().parse_args(arguments)
    try:
        survey = read(options)
        options.output.write_text(page(survey, options.title), encoding="utf-8", newline="\n")
    except (OSError, Unreadable) as error:
        print(error, file=sys.stderr)
        return 1
    names = ", ".join(target.name for target in survey.targets)
    print(f"{options.output}: {len(survey.comments)} rows, {names}")
    return 0


def parser() -> argparse.ArgumentParser:
    """The command line."""
    found = argparse.ArgumentParser(description="Make one HTML page of a survey's answers.")
    found.add_argument("files", nargs="+", type=Path, metavar="RESULT", help="answers as .csv or .csv.gz")
    found.add_argument("--output", type=Path, default=Path("summary.html"), help="default: summary.html")
    found.add_argument("--title", default="What people wrote", help="of the page")
    found.add_argument(
        "--label",
        action="append",
        metavar="NAME",
        help="a target, or a column; default: all of the model's; may be repeated",
    )
    found.add_argument("--date-column", default="date", metavar="COLUMN", help="default: date, as 2026-06-30")
    found.add_argument("--id-column", default="response_id", metavar="COLUMN", help="default: response_id")
    found.add_argument("--text-column", default="comment", metavar="COLUMN", help="default: comment")
    return found


def read(options: argparse.Namespace) -> Survey:
    """The first file's comments, with the answers of all files.

    Raises:
        OSError, Unreadable: a file is not there, or not as expected.
    """
    first, *others = tables = [rows_of(path) for path in options.files]
    targets: list[Target] = []
    for path, table in zip(options.files, tables, strict=True):
        order = table if table is first else joined(first, table, path, options.id_column)
        for column in columns_of(path, table, options.label):
            target = target_of(column, order, path.name.split(".")[0] if others else column)
            if target.name in (each.name for each in targets):
                raise Unreadable(
                    f"{path}: {target.name} is in another file, too; rename the file, or say --label"
                )
            targets.append(target)
    return Survey([comment(row, options) for row in first], targets)


def rows_of(path: Path) -> list[Row]:
    """A CSV's rows by column."""
    opened = gzip.open if path.suffix == ".gz" else open
    try:
        with opened(path, "rt", encoding="utf-8-sig", newline="") as file:
            return [{name: value or "" for name, value in row.items()} for row in csv.DictReader(file)]
    except (UnicodeDecodeError, csv.Error, EOFError) as error:
        raise Unreadable(f"{path}: expected answers as CSV, got something else: {error}") from None


def columns_of(path: Path, table: Sequence[Row], wanted: Sequence[str] | None) -> list[str]:
    """The columns with labels: as wanted, else those that a model has added, in their order."""
    names = list(table[0]) if table else []
    if wanted:
        forms = ("{0}", "{0}_label", "{0}_labels")  # a target's name is enough
        found = [name for each in wanted for name in (form.format(each) for form in forms) if name in names]
    else:
        found = [name for name in names if is_added(name, names)]
    if not found:
        shown = ", ".join(names) or "no rows"
        expected = " or ".join(wanted) if wanted else "label, or one that ends in _label or _labels,"
        raise Unreadable(f"{path}: expected a column {expected} (--label), found {shown}")
    return found


def is_added(name: str, names: Sequence[str]) -> bool:
    """Whether a column has a model's labels: then there are their scores, too."""
    several = name == "labels" or name.endswith("_labels")
    one = name == "label" or name.endswith("_label")
    return (several or one) and beside(name, "scores" if several else "score") in names


def beside(column: str, what: str) -> str:
    """The column of the same target: `sentiment_score` beside `sentiment_label`, or beside `sentiment`."""
    target = re.sub(r"(^|_)labels?$", "", column)
    return f"{target}_{what}" if target else what


def joined(first: Sequence[Row], table: Sequence[Row], path: Path, column: str) -> list[Row]:
    """The rows of `table` in the order of `first`, found by their ids; an empty row where there is none.

    Rows that could not be read have no id in either file, and belong together in their order.
    """
    if not first or not table or column not in first[0] or column not in table[0]:
        raise Unreadable(f"{path}: expected the column {column} in both files, to join them (--id-column)")
    by_id = {row[column]: row for row in table if row[column]}
    unread = (row for row in table if not row[column])
    return [by_id.get(row[column], {}) if row[column] else next(unread, {}) for row in first]


def comment(row: Mapping[str, str], options: argparse.Namespace) -> Comment:
    """A row without what the model said."""
    try:
        day = date.fromisoformat(row.get(options.date_column, "")[:10])
    except ValueError:  # a row that could not be read has no date, either
        day = None
    return Comment(row.get(options.id_column, ""), day, row.get(options.text_column, ""))


def target_of(column: str, rows: Sequence[Row], file: str) -> Target:
    """What was said of one target, in the order of the rows.

    Args:
        column: with its labels.
        rows: of the answers.
        file: names the target where its column does not.
    """
    several = column == "labels" or column.endswith("_labels")
    name = re.sub(r"_?labels?$", "", column) or file
    reviewed = any(row.get(beside(column, "needs_review")) for row in rows)
    return Target(name, several, reviewed, [said(column, row, several) for row in rows])


def said(column: str, row: Mapping[str, str], several: bool) -> Said:
    """What the model said about a row; the columns beside the label's may carry its name."""
    what = "scores" if several else "score"
    score, error, version = (
        row.get(beside(column, each), row.get(each, "")) for each in (what, "error", "model_version")
    )
    cell = row.get(column, "")
    labels = list(parted(cell)) if several else [cell] if cell else []
    # of several labels there may be none: then only the model's version tells that there is an answer
    answered = bool(labels) or (several and bool(version))
    return Said(
        labels,
        [number(part) for part in (score.split(";") if several else [score])],
        "" if answered else error or "not in the file",
        row.get(beside(column, "needs_review")) == "true",
    )


def parted(cell: str) -> Iterator[str]:
    """The labels in a cell, between which stands `;`; one that is in a label has a backslash before it."""
    for part in re.findall(r"(?:^|;)((?:[^;\\]|\\.)*)", cell) if cell else ():
        yield re.sub(r"\\(.)", r"\1", part)


def number(text: str) -> float:
    """A score; 0 where there is none."""
    try:
        return float(text)
    except ValueError:
        return 0.0


if __name__ == "__main__":
    sys.exit(main())
