"""The page that survey_summary.py makes: no script, no font, no picture from anywhere else."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, timedelta
from html import escape
from typing import NamedTuple

MOST_DAYS = 49  # a bar for each day; with more, a bar for each week
MOST_LABELS = 8  # colours that people can tell apart
OTHER = "others"
NO_LABEL = "(no label)"  # of a comment that may have several
CERTAIN = 3  # comments of each label
REVIEWED = 8  # comments that a person should read
SHOWN = 320  # characters of a comment
# Okabe and Ito's palette, which colour-blind people can tell apart, with a purple for its pale yellow;
# sentiments get the colours that people expect
PALETTE = ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#8a6fd1", "#7f7f7f"]
EXPECTED = {"positive": "#009e73", "neutral": "#9aa5b1", "negative": "#d55e00"}


class Said(NamedTuple):
    """What a model said of a comment about one target."""

    labels: list[str]  # one, of several maybe none; none as well if it said nothing
    scores: list[float]
    error: str  # why it said nothing
    needs_review: bool

    def shown(self, labels: Sequence[str]) -> list[str]:
        """The labels as they are shown, each once; none if it said nothing."""
        if not self.labels:
            return [] if self.error else [NO_LABEL]
        return list(dict.fromkeys(label if label in labels else OTHER for label in self.labels))


class Target(NamedTuple):
    """What a model was asked about each comment, and its answers in the order of the comments."""

    name: str
    several: bool  # whether a comment may have any number of labels
    reviewed: bool  # whether the model says what a person should look at
    answers: list[Said]

    @property
    def answered(self) -> int:
        """How many comments have an answer."""
        return sum(not said.error for said in self.answers)


class Comment(NamedTuple):
    """A row of the survey."""

    id: str
    day: date | None
    text: str


class Survey(NamedTuple):
    """Comments, and what was answered about them."""

    comments: list[Comment]
    targets: list[Target]


# --- counting -------------------------------------------------------------------------------------


def periods(days: Iterable[date | None]) -> tuple[list[date], int]:
    """The days or Mondays from the first to the last comment, and how many days each stands for."""
    known = sorted(day for day in days if day)
    if not known:
        return [], 1
    step = 1 if (known[-1] - known[0]).days < MOST_DAYS else 7
    begin = known[0] - timedelta(days=known[0].weekday() if step == 7 else 0)
    return [begin + timedelta(days=offset) for offset in range(0, (known[-1] - begin).days + 1, step)], step


def shown_labels(target: Target) -> list[str]:
    """The labels, the most frequent first; where there are too many to colour, the rest as one."""
    found = Counter(label for said in target.answers for label in said.labels)
    labels = [label for label, _ in found.most_common()]
    if set(labels) <= set(EXPECTED):
        labels = [label for label in EXPECTED if label in labels]
    elif len(labels) > MOST_LABELS:
        labels = [*labels[: MOST_LABELS - 1], OTHER]
    unlabelled = any(not said.labels and not said.error for said in target.answers)
    return [*labels, NO_LABEL] if unlabelled else labels


def colours(labels: Sequence[str]) -> dict[str, str]:
    """A colour for each."""
    coloured = [label for label in labels if label != NO_LABEL]
    found = EXPECTED if set(coloured) <= set(EXPECTED) else dict(zip(coloured, PALETTE, strict=False))
    return {**found, NO_LABEL: "#c3cad1"}


# --- the page -------------------------------------------------------------------------------------


def page(survey: Survey, title: str) -> str:
    """The whole page."""
    body = [f"<header><h1>{escape(title)}</h1><p>{escape(span(survey))}</p></header>"]
    for target in survey.targets:
        body += [section(f"{heading(target.name)}: in all", totals(target))]
        body += [section(f"{heading(target.name)}: over time", over_time(survey.comments, target))]
    for one, other in pairs(survey.targets):
        body.append(section(f"{heading(one.name)} by {other.name}", crossed(one, other)))
    for target in survey.targets:
        words = f"{heading(target.name)}: what the model was most certain of"
        body.append(section(words, certain(survey.comments, target)))
    for target in survey.targets:
        if target.reviewed:
            words = f"{heading(target.name)}: what a person should read"
            body.append(section(words, to_review(survey.comments, target)))
    missing = {target.name: unanswered(survey.comments, target) for target in survey.targets}
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


def pairs(targets: Sequence[Target]) -> Iterator[tuple[Target, Target]]:
    """Which targets are shown by which: the first with one label by each of the others."""
    first = next((target for target in targets if not target.several), targets[0])
    yield from ((first, other) for other in targets if other is not first)


def span(survey: Survey) -> str:
    """How many comments, and from when to when."""
    days = [each.day for each in survey.comments if each.day]
    when = f", {plain_day(min(days))} to {plain_day(max(days))}" if days else ""
    return f"{len(survey.comments):,} rows{when}"


def totals(target: Target) -> str:
    """Each label's count, share and mean score."""
    labels, answered = shown_labels(target), target.answered
    of, rows = colours(labels), []
    for label in labels:
        count = sum(label in said.shown(labels) for said in target.answers)
        scores = [
            score
            for said in target.answers
            for each, score in zip(said.labels, said.scores, strict=False)
            if (each if each in labels else OTHER) == label
        ]
        share = 100 * count / answered
        bar = f'<span class="track"><span style="width:{share:.1f}%;background:{of[label]}"></span></span>'
        cells = [key(label, of), number(count), number(f"{share:.0f} %"), f"<td>{bar}</td>"]
        rows.append([*cells, number(f"{sum(scores) / len(scores):.2f}" if scores else "")])
    note = f"{answered:,} of {len(target.answers):,} rows have an answer."
    if target.several:
        note += " A row may have several labels."
    if target.reviewed:
        note += f" A person should read {sum(said.needs_review for said in target.answers):,} of them."
    return f"<p>{note}</p>{table(['', '>Rows', '>Share', '', '>Mean score'], rows)}"


def over_time(comments: Sequence[Comment], target: Target) -> str:
    """Stacked bars, and the same numbers in a table."""
    labels, (begins, step) = shown_labels(target), periods(each.day for each in comments)
    if not begins or not labels:
        return "<p>No row has both a date and an answer.</p>"
    counts: dict[date, Counter[str]] = {begin: Counter() for begin in begins}
    rows_of: Counter[date] = Counter()
    for each, said in zip(comments, target.answers, strict=True):
        if each.day and not said.error:
            begin = begins[(each.day - begins[0]).days // step]
            counts[begin].update(said.shown(labels))
            rows_of[begin] += 1
    of = colours(labels)
    rows = [
        [f"<td>{plain_day(begin)}</td>", *(number(counts[begin][label] or "") for label in labels)]
        + [number(rows_of[begin] or "")]
        for begin in begins
    ]
    head = ["Week of" if step == 7 else "Day", *(f">{escape(label)}" for label in labels), ">All rows"]
    return (
        f"{legend(labels, of)}{bars(counts, labels, of, step)}"
        f"<details><summary>The numbers</summary>{table(head, rows)}</details>"
    )


def bars(counts: dict[date, Counter[str]], labels: Sequence[str], of: dict[str, str], step: int) -> str:
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


def crossed(one: Target, other: Target) -> str:
    """Of each label of the second target, the shares of the first one's labels."""
    labels, groups = shown_labels(one), shown_labels(other)
    of = colours(labels)
    counts: dict[str, Counter[str]] = {group: Counter() for group in groups}
    for said, beside in zip(one.answers, other.answers, strict=True):
        for group in beside.shown(groups):
            counts[group].update(said.shown(labels))
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
        bar = f'<td><span class="track parts">{pieces}</span></td>'
        rows.append([f"<td>{escape(group)}</td>", bar, *cells, number(whole or "")])
    head = [escape(heading(other.name)), "", *(f">{escape(label)}" for label in labels), ">All"]
    return f"{legend(labels, of)}{table(head, rows)}"


def certain(comments: Sequence[Comment], target: Target) -> str:
    """The comments with the highest scores of each label; the same text once."""
    labels = [label for label in shown_labels(target) if label not in (OTHER, NO_LABEL)]
    of, blocks = colours(labels), []
    for label in labels:
        found = {
            each.text: score
            for each, said in zip(comments, target.answers, strict=True)
            for one, score in zip(said.labels, said.scores, strict=False)
            if one == label and each.text.strip()
        }
        best = sorted(found.items(), key=lambda each: (-each[1], each[0]))
        quotes = "".join(quote(text, f"{score:.2f}") for text, score in best[:CERTAIN])
        blocks.append(f'<div style="border-color:{of[label]}"><h3>{escape(label)}</h3>{quotes}</div>')
    return f'<div class="quotes">{"".join(blocks)}</div>' if blocks else "<p>No row has an answer.</p>"


def to_review(comments: Sequence[Comment], target: Target) -> str:
    """How many comments the model is too unsure of, and those that it is least sure of."""
    found = [
        (min(said.scores, default=0.0), each, said)
        for each, said in zip(comments, target.answers, strict=True)
        if said.needs_review
    ]
    if not found:
        return "<p>None: the model is sure enough of every answer.</p>"
    quotes = "".join(
        quote(each.text, f"{', '.join(said.labels) or 'no label'}? {each.id}")
        for _, each, said in sorted(found, key=lambda item: item[0])[:REVIEWED]
    )
    share = 100 * len(found) / target.answered
    note = (
        f"{len(found):,} rows, {share:.0f} % of the answers: needs_review is true there. The least certain:"
    )
    return f'<p>{note}</p><div class="quotes"><div>{quotes}</div></div>'


def unanswered(comments: Sequence[Comment], target: Target) -> str:
    """Why, how many, and which."""
    found: dict[str, list[str]] = {}
    for line, (each, said) in enumerate(zip(comments, target.answers, strict=True), 1):
        if said.error:
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


def legend(labels: Sequence[str], of: dict[str, str]) -> str:
    """Which colour is which label."""
    items = "".join(f"<li>{swatch(of[label])}{escape(label)}</li>" for label in labels)
    return f'<ul class="legend">{items}</ul>'


def quote(text: str, small: str) -> str:
    """A comment, and something small behind it."""
    return f"<blockquote>{escape(shorten(text))} <small>{escape(small)}</small></blockquote>"


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
