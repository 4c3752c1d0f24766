"""Makes one HTML page of a survey's answers: an example of what to do with the files in output/.

    python examples/survey_summary.py results/survey_month.csv
    python examples/survey_summary.py results/sentiment.csv results/category.csv --output july.html
    python examples/survey_summary.py results/both.csv --label sentiment --label category

Copy this file wherever you like: it needs Python and nothing else. What it shows:

* how many comments had which label, day by day (week by week if they cover more than seven weeks)
* with two labels of the same comments, the one by the other: two files are joined by --id-column
* the comments that the model was most certain of, to see what a label stands for
* how many rows have no answer, and why

Answers of a model with several targets have a column <target>_label for each; all of them are shown. A
label's column may have any other name, which --label says; its score is then in <name>_score or score, and
why a row has none in <name>_error or error.
"""

import argparse
import csv
import gzip
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from html import escape
from pathlib import Path
from typing import NamedTuple

LABEL = "label"
OF_TARGET = "_label"  # of a model with several targets: sentiment_label, category_label
MOST_DAYS = 49  # a bar for each day; with more, a bar for each week
MOST_LABELS = 8  # colours that people can tell apart
OTHER = "others"
CERTAIN = 3  # comments of each label
SHOWN = 320  # characters of a comment
# Okabe and Ito's palette, which colour-blind people can tell apart, with a purple for its pale yellow;
# sentiments get the colours that people expect
PALETTE = ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#8a6fd1", "#7f7f7f"]
EXPECTED = {"positive": "#009e73", "neutral": "#9aa5b1", "negative": "#d55e00"}


class Answer(NamedTuple):
    """What a model said of a comment."""

    label: str  # "" if it said nothing
    score: float
    error: str


class Comment(NamedTuple):
    """A row of the survey."""

    id: str
    day: date | None
    text: str


class Survey(NamedTuple):
    """Comments, and for each thing that was asked about them its answers in the same order."""

    comments: list[Comment]
    answers: dict[str, list[Answer]]


class Unreadable(Exception):
    """A file is not as expected; the text says how."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Reads, writes the page; returns the exit status."""
    options = parser().parse_args(arguments)
    try:
        survey = read(options)
        options.output.write_text(page(survey, options.title), encoding="utf-8")
    except (OSError, Unreadable) as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{options.output}: {len(survey.comments)} rows, {', '.join(survey.answers)}")
    return 0


def parser() -> argparse.ArgumentParser:
    """The command line."""
    found = argparse.ArgumentParser(description="Make one HTML page of a survey's answers.")
    found.add_argument("files", nargs="+", type=Path, metavar="RESULT", help="answers as .csv or .csv.gz")
    found.add_argument("--output", type=Path, default=Path("summary.html"), help="default: summary.html")
    found.add_argument("--title", default="What people wrote", help="of the page")
    found.add_argument(
        "--label", action="append", metavar="COLUMN", help=f"default: {LABEL}; may be repeated"
    )
    found.add_argument("--date-column", default="date", metavar="COLUMN", help="default: date, as 2026-06-30")
    found.add_argument("--id-column", default="response_id", metavar="COLUMN", help="default: response_id")
    found.add_argument("--text-column", default="comment", metavar="COLUMN", help="default: comment")
    return found


# --- reading --------------------------------------------------------------------------------------


def read(options: argparse.Namespace) -> Survey:
    """The first file's comments, with the answers of all files.

    Raises:
        OSError, Unreadable: a file is not there, or not as expected.
    """
    first, *others = tables = [rows_of(path) for path in options.files]
    comments = [comment(row, options) for row in first]
    answers: dict[str, list[Answer]] = {}
    for path, table in zip(options.files, tables, strict=True):
        columns = label_columns(table, options.label)
        if not columns:
            found = ", ".join(table[0]) if table else "no rows"
            wanted = " or ".join(options.label or [LABEL])
            raise Unreadable(f"{path}: expected a column {wanted} (--label), found {found}")
        order = table if table is first else joined(first, table, path, options.id_column)
        for column in columns:
            name = path.name.split(".")[0] if column == LABEL and others else column.removesuffix(OF_TARGET)
            if name in answers:
                raise Unreadable(f"{path}: {name} is in another file, too; rename the file, or say --label")
            answers[name] = [answer(row, column) for row in order]
    return Survey(comments, answers)


def label_columns(table: Sequence[dict[str, str]], asked: Sequence[str] | None) -> list[str]:
    """The columns of a table that hold labels: those that were asked for, else all that look like it."""
    there = list(table[0]) if table else []
    if asked:
        named = (name if name in there else name + OF_TARGET for name in asked)
        return [name for name in named if name in there]
    return [LABEL] if LABEL in there else [name for name in there if name.endswith(OF_TARGET)]


def rows_of(path: Path) -> list[dict[str, str]]:
    """A CSV's rows by column."""
    opened = gzip.open if path.suffix == ".gz" else open
    try:
        with opened(path, "rt", encoding="utf-8-sig", newline="") as file:
            return [{name: value or "" for name, value in row.items()} for row in csv.DictReader(file)]
    except (UnicodeDecodeError, csv.Error, EOFError) as error:
        raise Unreadable(f"{path}: expected answers as CSV, got something else: {error}") from None


def joined(
    first: Sequence[dict[str, str]], table: Sequence[dict[str, str]], path: Path, column: str
) -> list[dict[str, str]]:
    """The rows of `table` in the order of `first`, found by their ids; an empty row where there is none.

    Rows that could not be read have no id in either file, and belong together in their order.
    """
    if column not in first[0] or column not in table[0]:
        raise Unreadable(f"{path}: expected the column {column} in both files, to join them (--id-column)")
    by_id = {row[column]: row for row in table if row[column]}
    unread = (row for row in table if not row[column])
    return [by_id.get(row[column], {}) if row[column] else next(unread, {}) for row in first]


def comment(row: dict[str, str], options: argparse.Namespace) -> Comment:
    """A row without what the model said."""
    try:
        day = date.fromisoformat(row.get(options.date_column, "")[:10])
    except ValueError:  # a row that could not be read has no date, either
        day = None
    return Comment(row.get(options.id_column, ""), day, row.get(options.text_column, ""))


def answer(row: dict[str, str], column: str) -> Answer:
    """What the model said; the columns beside the label's may carry its name."""
    name = column.removesuffix(OF_TARGET)
    suffixed = [row.get(f"{name}_{what}", row.get(what, "")) for what in ("score", "error")]
    try:
        score = float(suffixed[0] or 0)
    except ValueError:
        score = 0.0
    label = row.get(column, "")
    return Answer(label, score, suffixed[1] or ("" if label else "not in the file"))


# --- counting -------------------------------------------------------------------------------------


def periods(days: Iterable[date | None]) -> tuple[list[date], int]:
    """The days or Mondays from the first to the last comment, and how many days each stands for."""
    known = sorted(day for day in days if day)
    if not known:
        return [], 1
    step = 1 if (known[-1] - known[0]).days < MOST_DAYS else 7
    begin = known[0] - timedelta(days=known[0].weekday() if step == 7 else 0)
    return [begin + timedelta(days=offset) for offset in range(0, (known[-1] - begin).days + 1, step)], step


def shown_labels(answers: Sequence[Answer]) -> list[str]:
    """The labels, the most frequent first; where there are too many to colour, the rest as one."""
    labels = [label for label, _ in Counter(each.label for each in answers if each.label).most_common()]
    if set(labels) <= set(EXPECTED):
        return [label for label in EXPECTED if label in labels]
    return labels if len(labels) <= MOST_LABELS else [*labels[: MOST_LABELS - 1], OTHER]


def colours(labels: Sequence[str]) -> dict[str, str]:
    """A colour for each."""
    if set(labels) <= set(EXPECTED):
        return EXPECTED
    return dict(zip(labels, PALETTE, strict=False))


def named(label: str, labels: Sequence[str]) -> str:
    """The label as it is shown."""
    return label if label in labels else OTHER


# --- the page -------------------------------------------------------------------------------------


def page(survey: Survey, title: str) -> str:
    """The whole page: no script, no font, no picture from anywhere else."""
    body = [f"<header><h1>{escape(title)}</h1><p>{escape(span(survey))}</p></header>"]
    for name, answers in survey.answers.items():
        body += [section(f"{heading(name)}: in all", totals(answers))]
        body += [section(f"{heading(name)}: over time", over_time(survey.comments, answers))]
    if len(survey.answers) >= 2:
        (one, ones), (other, others), *_ = survey.answers.items()
        body.append(section(f"{heading(one)} by {other}", crossed(ones, others, other)))
    for name, answers in survey.answers.items():
        words = f"{heading(name)}: what the model was most certain of"
        body.append(section(words, certain(survey.comments, answers)))
    missing = {name: unanswered(survey.comments, answers) for name, answers in survey.answers.items()}
    if len(set(missing.values())) == 1:  # mostly the same rows: those without text
        missing = {", ".join(missing): next(iter(missing.values()))}
    body += [section(f"{heading(name)}: rows without an answer", each) for name, each in missing.items()]
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body><main>\n"
        + "\n".join(body)
        + "\n</main></body>\n</html>\n"
    )


def span(survey: Survey) -> str:
    """How many comments, and from when to when."""
    days = [each.day for each in survey.comments if each.day]
    when = f", {plain_day(min(days))} to {plain_day(max(days))}" if days else ""
    return f"{len(survey.comments):,} rows{when}"


def totals(answers: Sequence[Answer]) -> str:
    """Each label's count, share and mean score."""
    labels = shown_labels(answers)
    of = colours(labels)
    answered = [each for each in answers if each.label]
    rows = []
    for label in labels:
        scores = [each.score for each in answered if named(each.label, labels) == label]
        share = 100 * len(scores) / len(answered)
        bar = f'<span class="track"><span style="width:{share:.1f}%;background:{of[label]}"></span></span>'
        cells = [key(label, of), number(len(scores)), number(f"{share:.0f} %"), f"<td>{bar}</td>"]
        rows.append([*cells, number(f"{sum(scores) / len(scores):.2f}")])
    note = f"{len(answered):,} of {len(answers):,} rows have an answer."
    return f"<p>{note}</p>{table(['', '>Rows', '>Share', '', '>Mean score'], rows)}"


def over_time(comments: Sequence[Comment], answers: Sequence[Answer]) -> str:
    """Stacked bars, and the same numbers in a table."""
    labels, (begins, step) = shown_labels(answers), periods(each.day for each in comments)
    if not begins or not labels:
        return "<p>No row has both a date and an answer.</p>"
    counts: dict[date, Counter[str]] = {begin: Counter() for begin in begins}
    for each, said in zip(comments, answers, strict=True):
        if each.day and said.label:
            counts[begins[(each.day - begins[0]).days // step]][named(said.label, labels)] += 1
    of = colours(labels)
    rows = [
        [f"<td>{plain_day(begin)}</td>", *(number(counts[begin][label] or "") for label in labels)]
        + [number(sum(counts[begin].values()) or "")]
        for begin in begins
    ]
    head = ["Week of" if step == 7 else "Day", *(f">{escape(label)}" for label in labels), ">All"]
    legend = "".join(f"<li>{swatch(of[label])}{escape(label)}</li>" for label in labels)
    return (
        f'<ul class="legend">{legend}</ul>{bars(counts, labels, of, step)}'
        f"<details><summary>The numbers</summary>{table(head, rows)}</details>"
    )


def bars(counts: dict[date, "Counter[str]"], labels: Sequence[str], of: dict[str, str], step: int) -> str:
    """A stacked bar for each day or week, as SVG."""
    width, height, left, bottom = 1000, 280, 36, 30
    most = max(1, *(sum(each.values()) for each in counts.values()))
    unit, room = nice(most / 4), (width - left) / len(counts)
    top = unit * -(-most // unit)
    scale = (height - bottom - 12) / top
    base = height - bottom
    parts = []
    for value in range(0, top + 1, unit):
        y = base - value * scale
        parts.append(f'<line x1="{left}" x2="{width}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{left - 8}" y="{y + 4:.1f}" text-anchor="end">{value}</text>')
    every = -(-len(counts) * 64 // (width - left))  # a date takes 64 of the width
    for place, (begin, each) in enumerate(counts.items()):
        x, y = left + place * room, float(base)
        for label in reversed(labels):  # the first one on top, as in the legend
            tall = each[label] * scale
            y -= tall
            if tall:
                words = f"{plain_day(begin)}: {each[label]} {escape(label)}"
                parts.append(
                    f'<rect x="{x + room * 0.12:.1f}" y="{y:.1f}" width="{room * 0.76:.1f}" '
                    f'height="{tall:.1f}" fill="{of[label]}"><title>{words}</title></rect>'
                )
        if place % every == 0:
            parts.append(
                f'<text x="{x + room / 2:.1f}" y="{base + 20}" text-anchor="middle">{short_day(begin)}</text>'
            )
    said = f"Rows by label for each {'week' if step == 7 else 'day'}; the table below has the numbers"
    picture = f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{said}">{"".join(parts)}</svg>'
    return f'<div class="wide">{picture}</div>'


def crossed(ones: Sequence[Answer], others: Sequence[Answer], other: str) -> str:
    """Of each label of the second thing, the shares of the first thing's labels."""
    labels, groups = shown_labels(ones), shown_labels(others)
    of = colours(labels)
    counts: dict[str, Counter[str]] = {group: Counter() for group in groups}
    for one, two in zip(ones, others, strict=True):
        if one.label and two.label:
            counts[named(two.label, groups)][named(one.label, labels)] += 1
    rows = []
    for group in sorted(groups, key=lambda each: -sum(counts[each].values())):
        whole = sum(counts[group].values())
        pieces = "".join(
            f'<span style="width:{100 * counts[group][label] / whole:.2f}%;background:{of[label]}" '
            f'title="{counts[group][label]} {escape(label)}"></span>'
            for label in labels
            if counts[group][label]
        )
        cells = [number(counts[group][label] or "") for label in labels]
        rows.append(
            [f"<td>{escape(group)}</td>", f'<td><span class="track parts">{pieces}</span></td>', *cells]
        )
        rows[-1].append(number(whole or ""))
    legend = "".join(f"<li>{swatch(of[label])}{escape(label)}</li>" for label in labels)
    head = [escape(heading(other)), "", *(f">{escape(label)}" for label in labels), ">All"]
    return f'<ul class="legend">{legend}</ul>{table(head, rows)}'


def certain(comments: Sequence[Comment], answers: Sequence[Answer]) -> str:
    """The comments with the highest scores of each label; the same text once."""
    labels = [label for label in shown_labels(answers) if label != OTHER]
    of, blocks = colours(labels), []
    for label in labels:
        found = [
            (said.score, each.text)
            for each, said in zip(comments, answers, strict=True)
            if said.label == label and each.text.strip()
        ]
        best = sorted({text: score for score, text in sorted(found)}.items(), key=lambda each: -each[1])
        quotes = "".join(
            f"<blockquote>{escape(shorten(text))} <small>{score:.2f}</small></blockquote>"
            for text, score in best[:CERTAIN]
        )
        blocks.append(f'<div style="border-color:{of[label]}"><h3>{escape(label)}</h3>{quotes}</div>')
    return f'<div class="quotes">{"".join(blocks)}</div>' if blocks else "<p>No row has an answer.</p>"


def unanswered(comments: Sequence[Comment], answers: Sequence[Answer]) -> str:
    """Why, how many, and which."""
    found: dict[str, list[str]] = {}
    for line, (each, said) in enumerate(zip(comments, answers, strict=True), 1):
        if not said.label:
            found.setdefault(said.error, []).append(each.id or f"row {line}")
    if not found:
        return "<p>None: every row was answered.</p>"
    rows = [
        [
            f"<td>{escape(error)}</td>",
            number(len(ids)),
            f"<td>{escape(', '.join(ids[:8]))}{' …' if len(ids) > 8 else ''}</td>",
        ]
        for error, ids in sorted(found.items(), key=lambda each: -len(each[1]))
    ]
    return table(["Why", ">Rows", "Which"], rows)


# --- small pieces ---------------------------------------------------------------------------------


def section(title: str, content: str) -> str:
    """A part of the page."""
    return f"<section><h2>{escape(title)}</h2>{content}</section>"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Rows of cells; a head that begins with > stands over numbers."""
    cells = "".join(
        f'<th class="number">{each[1:]}</th>' if each[:1] == ">" else f"<th>{each}</th>" for each in head
    )
    body = "".join(f"<tr>{''.join(row)}</tr>" for row in rows)
    return f'<div class="wide"><table><thead><tr>{cells}</tr></thead><tbody>{body}</tbody></table></div>'


def number(value: int | str) -> str:
    """A cell with a number."""
    return (
        f'<td class="number">{value:,}</td>' if isinstance(value, int) else f'<td class="number">{value}</td>'
    )


def key(label: str, of: dict[str, str]) -> str:
    """A cell with a label beside its colour."""
    return f'<td class="key">{swatch(of[label])}{escape(label)}</td>'


def swatch(colour: str) -> str:
    """A patch of a colour."""
    return f'<i style="background:{colour}"></i>'


def heading(name: str) -> str:
    """A name as it begins a heading."""
    words = name.replace("_", " ")
    return words[:1].upper() + words[1:]


def plain_day(day: date) -> str:
    """`9 June 2026`."""
    return f"{day.day} {day:%B %Y}"


def short_day(day: date) -> str:
    """`9 Jun`."""
    return f"{day.day} {day:%b}"


def nice(least: float) -> int:
    """A step of an axis: 1, 2, 5, 10, 20, …, not less than `least`."""
    step = 1
    while True:
        for factor in (1, 2, 5):
            if step * factor >= least:
                return step * factor
        step *= 10


def shorten(text: str) -> str:
    """A comment on one line."""
    line = " ".join(text.split())
    return line if len(line) <= SHOWN else line[: SHOWN - 1].rstrip() + "…"


STYLE = """
:root {
  color-scheme: light dark;
  --page: #eef1f4; --card: #fff; --ink: #1f2933; --soft: #5a6773; --line: #d5dbe1; --track: #e4e8ec;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #14191f; --card: #1d242c; --ink: #e4e8ec; --soft: #a0acb8; --line: #38434e; --track: #303a44;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0; background: var(--page); color: var(--ink);
  font: 15px/1.5 system-ui, "Segoe UI", Roboto, Helvetica, Arial, sans-serif;
}
main { max-width: 1080px; margin: 0 auto; padding: 32px 20px 60px; }
h1 { font-size: 26px; line-height: 1.25; margin: 0 0 4px; }
h2 { font-size: 18px; margin: 0 0 10px; }
h3 { font-size: 15px; margin: 0 0 8px; }
p { margin: 0 0 10px; color: var(--soft); }
section { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 22px 24px; }
section { margin-top: 18px; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th { text-align: left; color: var(--soft); font-weight: 600; font-size: 13px; white-space: nowrap; }
th, td { padding: 7px 16px 7px 0; border-bottom: 1px solid var(--line); vertical-align: top; }
th:last-child, td:last-child { padding-right: 0; }
tbody tr:last-child td { border-bottom: 0; }
.number, .key { white-space: nowrap; }
.number { text-align: right; }
i { display: inline-block; width: 12px; height: 12px; border-radius: 3px; margin-right: 8px; }
.legend { display: flex; flex-wrap: wrap; gap: 4px 20px; margin: 0 0 10px; padding: 0; list-style: none; }
svg { display: block; width: 100%; min-width: 640px; height: auto; }
svg text { font-size: 13px; fill: var(--soft); }
svg line { stroke: var(--line); }
svg rect { stroke: var(--card); stroke-width: 1; }
details { margin-top: 12px; }
summary { cursor: pointer; color: var(--soft); }
.track { display: flex; height: 12px; min-width: 160px; margin-top: 5px; background: var(--track); }
.track { border-radius: 5px; overflow: hidden; }
.parts { min-width: 260px; background: none; gap: 1px; }
.quotes { display: grid; grid-template-columns: repeat(auto-fit, minmax(260px, 1fr)); gap: 18px; }
.quotes > div { border-left: 5px solid; padding-left: 14px; }
blockquote { margin: 0 0 10px; overflow-wrap: anywhere; }
blockquote small { color: var(--soft); white-space: nowrap; }
@media print { body { background: #fff; } section { break-inside: avoid; } }
"""


if __name__ == "__main__":
    sys.exit(main())
