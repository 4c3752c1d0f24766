"""The evaluation as one HTML page that opens by itself: no script, no font, no picture from anywhere else.

At the top the gate and the main figures; then for each target where it errs, each label, how far its
confidence can be trusted, triage, and the mistakes that it was surest of.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape

from evaluation import metrics
from evaluation.measure import Evaluation, Mistake, TargetEvaluation, Triage, Trusted
from evaluation.metrics import Check
from evaluation.scores import Estimate
from report.parts import (
    class_chart,
    confidence_chart,
    confusion_chart,
    coverage_chart,
    number,
    reliability_chart,
    row,
    section,
    short,
    table,
    tile,
    wide,
)

INTERVALS = """Intervals hold 95 % of the values that the figure takes when as many test rows are drawn anew
with replacement."""

TEXT_SHOWN = 280

CONFUSION = """Each row is a true class, each column what the model answered. Blue is right, orange wrong; the
deeper, the larger the share of the row. Point at a cell for its numbers."""

CLASSES = """Precision: how many of the answers with this class were right. Recall: how many texts of this
class were found. F1 is their harmonic mean. The weakest class comes first; the figures of classes with few
rows are uncertain."""

LABELS = """Precision: how many of the texts that were given this label have it. Recall: how many of the texts
with this label were given it. F1 is their harmonic mean. The weakest label comes first; the figures of labels
with few rows are uncertain."""

CONFIDENCE = """On the left how sure the model was of its answers, on the right how often answers of that
confidence were right: where it can be trusted, the bars end at the dashed line."""

SEVERAL = """ Every label that was answered counts once."""

TRIAGE = """The model answers alone where it is sure enough, and asks for a person elsewhere
(<code>needs_review</code>). The curve shows how precise its surest answers are, the more of them one takes;
the ring is where the model stands with the thresholds of the table, which the validation set has set; the
test set has not. Alone: how many of the answers with a label were sure enough."""


def page(evaluation: Evaluation, compared: str = "") -> str:
    """Return the report as HTML; ``compared``: the sections about the live model."""
    title = f"{escape(evaluation.title)}: evaluation"
    body = _one(evaluation, compared) if len(evaluation.targets) == 1 else _several(evaluation, compared)
    return "\n".join(
        [
            "<!DOCTYPE html>",
            '<html lang="en">',
            "<head>",
            '<meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{title}</title>",
            f"<style>{STYLE}</style>",
            "</head>",
            "<body>",
            "<main>",
            f"<header><h1>{title}</h1>\n{_facts(evaluation)}</header>",
            _gate(evaluation),
            *body,
            "</main>",
            "</body>",
            "</html>",
            "",
        ]
    )


def _one(evaluation: Evaluation, compared: str) -> list[str]:
    (target,) = evaluation.targets
    return [
        _tiles(headlines(target)),
        _thresholds(evaluation.checks),
        *sections(target),
        compared,
        section("All figures", INTERVALS, figures_table(target.figures)),
    ]


def _several(evaluation: Evaluation, compared: str) -> list[str]:
    """Return the targets one below the other, each in one glance first."""
    body = [_glance(evaluation), _thresholds(evaluation.checks)]
    for each in evaluation.targets:
        name = escape(each.target.name)
        body += [
            f'<header class="target" id="target-{name}"><h2>{name}</h2><p>{_kind(each)}</p></header>',
            _tiles(headlines(each)),
            *sections(each),
            section("All figures", INTERVALS, figures_table(each.figures)),
        ]
    if compared:
        body.append('<header class="target"><h2>The live model</h2></header>')
    return [*body, compared]


def _glance(evaluation: Evaluation) -> str:
    """Return a card for each target, with a link to its part of the page."""
    cards = []
    for each in evaluation.targets:
        (name, value, interval), *others = headlines(each)
        more = "; ".join(f"{other} {figure}" for other, figure, _ in others)
        told = f"<span>{name}: {interval}</span><span>{more}</span>"
        target = escape(each.target.name)
        cards.append(
            f'<a class="tile" href="#target-{target}"><b>{target}</b><strong>{value}</strong>{told}</a>'
        )
    return f'<nav class="tiles wider">{"".join(cards)}</nav>'


def _kind(found: TargetEvaluation) -> str:
    labels = len(found.target.labels)
    if found.target.kind == "one":
        return f"Each text has one of {labels} classes."
    most = f"{found.predictions.true.sum() / found.predictions.rows:.2f}"
    return f"Each text has any number of {labels} labels, in the test set {most} on average."


def _facts(evaluation: Evaluation) -> str:
    size = f"{evaluation.rows:,} rows, "
    if len(evaluation.targets) == 1:
        target = evaluation.targets[0].target
        size += f"{len(target.labels)} {'classes' if target.kind == 'one' else 'labels'}"
    else:
        size += f"{len(evaluation.targets)} targets"
    facts = {"Test set": size, **evaluation.facts}
    pairs = (f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in facts.items())
    return f"<dl>{''.join(pairs)}</dl>"


def _gate(evaluation: Evaluation) -> str:
    word = "passed" if evaluation.passed else "missed"
    return (
        f'<section class="gate {word}"><b>Gate {word}</b> <span>{escape(evaluation.message)}</span></section>'
    )


def _tiles(figures: Iterable[tuple[str, str, str]]) -> str:
    return f'<div class="tiles">{"".join(tile(*each) for each in figures)}</div>'


def _thresholds(checks: Sequence[Check]) -> str:
    if not checks:
        return ""
    rows = []
    for check in checks:
        bound = f"{'at least' if check.kind == 'at_least' else 'at most'} {check.bound:g}"
        word = "met" if check.passed else "missed"
        target, _, metric = check.metric.rpartition(".")
        name = f"{escape(short(target))}: {metrics.LABELS[metric]}" if target else metrics.LABELS[metric]
        cells = [name, number(bound), number(f"{check.value:.4f}")]
        rows.append(row(*cells) + f'<td class="{"passed" if check.passed else "missed"}">{word}</td>')
    return f"<section>{wide(table(['Threshold on', '#Bound', '#Value', 'Result'], rows))}</section>"


def headlines(found: TargetEvaluation) -> list[tuple[str, str, str]]:
    """Return the main figures: name, value, and what to know about it."""
    tiles = [
        (metrics.LABELS[name], f"{found.figures[name].value:.3f}", interval(found.figures[name]))
        for name in metrics.names(found.target.kind, "headline")
    ]
    if found.triage is not None:
        precision = found.triage.precision.value
        note = f"precision of these {precision:.3f}" if found.triage.coverage.value else "of no text"
        tiles.append(("Answered without a person", f"{found.triage.coverage.value:.0%}", note))
    return tiles


def interval(figure: Estimate) -> str:
    """Return the interval in words."""
    return f"95 % interval {figure.low:.3f} to {figure.high:.3f}"


def sections(found: TargetEvaluation) -> list[str]:
    """Return the boxes about one target."""
    labels, one = found.target.labels, found.target.kind == "one"
    parts = []
    if found.matrix is not None:
        parts.append(section("Where it errs", CONFUSION, wide(confusion_chart(found.matrix, labels))))
    title, explanation = ("Each class", CLASSES) if one else ("Each label", LABELS)
    parts.append(section(title, explanation, wide(class_chart(found.scores, labels))))
    charts = wide(confidence_chart(found.sure, found.right)) + wide(reliability_chart(found.calibration))
    parts.append(
        section(
            "How far its confidence can be trusted",
            CONFIDENCE + ("" if one else SEVERAL),
            f'<div class="pair">{charts}</div>{_temperature(found)}',
        )
    )
    if found.triage is not None:
        parts.append(_triage(found.triage, "class" if one else "label"))
    parts.append(_mistakes(found))
    return parts


def figures_table(figures: Mapping[str, Estimate]) -> str:
    """Return every figure with its interval."""
    rows = [
        row(
            metrics.LABELS[name],
            number(f"{figure.value:.4f}"),
            number(f"{figure.low:.4f} to {figure.high:.4f}"),
            number(f"{figure.standard_deviation:.4f}"),
        )
        for name, figure in figures.items()
    ]
    return wide(table(["Figure", "#Value", "#95 % interval", "#Standard deviation"], rows))


def _temperature(found: TargetEvaluation) -> str:
    if found.triage is None:
        return ""
    before, after = found.triage.uncalibrated.error, found.calibration.error
    if found.triage.temperature == 1:
        return (
            "<p>The scores are as the model gives them: no temperature was better on the validation set.</p>"
        )
    change = f"from {before:.3f} to {after:.3f}"
    return (
        f"<p>The model's outputs are divided by a temperature of {found.triage.temperature:.3g}, fitted on "
        f"the validation set; here it takes the calibration error {change}.</p>"
    )


def _triage(triage: Triage, word: str) -> str:
    declared = "" if triage.declared is None else f" Declared precision: {triage.declared:g}."
    coverage, precision = triage.coverage, triage.precision
    reached = (
        f"{precision.value:.1%} of these are right ({interval(precision)})"
        if coverage.value
        else "so a person looks at all of them"
    )
    told = (
        f"<p><b>{coverage.value:.1%} of the texts need no person; {reached}.</b> "
        f"Of all answers, {triage.untouched.value:.1%} are right.</p>"
    )
    chart = coverage_chart(*triage.curve, (coverage.value, precision.value), triage.declared)
    head = [word.capitalize(), "#Asks below", "#Answers", "#Alone", "#Of these right"]
    rows = [_trusted(each) for each in triage.labels]
    content = f'{told}<div class="pair">{wide(chart)}{wide(table(head, rows))}</div>'
    return section("What it may answer alone", TRIAGE + declared, content)


def _trusted(each: Trusted) -> str:
    name = escape(short(each.label)) if each.label else "<i>none of them</i>"
    bound = "always" if each.threshold is None else f"{each.threshold:.3f}"
    share = f"{each.right / each.accepted:.1%}" if each.accepted else "–"
    return row(name, number(bound), number(f"{each.answers:,}"), number(f"{each.accepted:,}"), number(share))


def _mistakes(found: TargetEvaluation) -> str:
    title, rows = "Most confident mistakes", found.predictions.rows
    wrong = rows - int(found.predictions.correct.sum())
    if not wrong:
        return section(title, f"None: all {rows} answers were right.", "")
    explanation = (
        f"{wrong} of {rows} answers were wrong; these are the ones the model was surest of. "
        "Look for wrong labels in the data first."
    )
    one = found.target.kind == "one"
    head = ["#Row", "#Confidence", "True class" if one else "True labels", "Answer", "Text"]
    return section(title, explanation, wide(table(head, map(_mistake, found.mistakes))))


def _mistake(mistake: Mistake) -> str:
    text = escape(short(" ".join(mistake.text.split()), TEXT_SHOWN))
    cells = [number(str(mistake.row)), number(f"{mistake.confidence:.3f}")]
    cells += [
        escape(names.replace(";", "; ")) if names else "<i>none</i>"
        for names in (mistake.label, mistake.prediction)
    ]
    return row(*cells) + f'<td class="text">{text}</td>'


STYLE = """
:root {
  color-scheme: light dark;
  --page: #eef1f4; --card: #fff; --empty: #f5f7f9;
  --ink: #1f2933; --soft: #616e7c; --line: #d5dbe1; --good: #00684a; --bad: #a63c00; --accent: #0072b2;
}
@media screen and (prefers-color-scheme: dark) {
  :root {
    --page: #14181d; --card: #1d232a; --empty: #262d35;
    --ink: #e6eaee; --soft: #9ba7b4; --line: #38424d; --good: #4cc9a0; --bad: #ff9a5c; --accent: #58b4ea;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0; background: var(--page); color: var(--ink);
  font: 15px/1.5 system-ui, "Segoe UI", Roboto, Helvetica, Arial, sans-serif;
}
main { max-width: 1180px; margin: 0 auto; padding: 32px 20px 60px; }
h1 { font-size: 26px; line-height: 1.25; margin: 0 0 4px; }
h2 { font-size: 18px; margin: 0 0 4px; }
p { margin: 0 0 12px; color: var(--soft); max-width: 76ch; }
section, .tile { background: var(--card); border: 1px solid var(--line); border-radius: 10px; }
section { padding: 22px 24px; margin-top: 18px; }
svg { display: block; max-width: none; font-family: inherit; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 2px 16px; margin: 10px 0 0; }
dt { color: var(--soft); }
dd { margin: 0; overflow-wrap: anywhere; }
.wide { overflow-x: auto; }
.gate { display: flex; flex-wrap: wrap; gap: 4px 14px; align-items: baseline; border-left: 6px solid; }
.gate b { font-size: 17px; white-space: nowrap; }
.gate.passed { border-left-color: var(--good); }
.gate.missed { border-left-color: var(--bad); }
.passed b, td.passed { color: var(--good); }
.missed b, td.missed { color: var(--bad); }
.target { margin: 44px 0 -4px; padding-top: 18px; border-top: 3px solid var(--accent); }
.target h2 { font-size: 24px; }
.tiles, .pair { display: grid; gap: 14px; }
.tiles { grid-template-columns: repeat(auto-fit, minmax(190px, 1fr)); margin-top: 18px; }
.tiles.wider { grid-template-columns: repeat(auto-fit, minmax(min(300px, 100%), 1fr)); }
.tile { padding: 16px 18px; }
a.tile { color: inherit; text-decoration: none; }
a.tile b { color: var(--accent); }
a.tile:hover, a.tile:focus-visible { border-color: var(--accent); }
.tile span { display: block; color: var(--soft); font-size: 13px; }
.tile strong { display: block; font-size: 30px; line-height: 1.3; font-variant-numeric: tabular-nums; }
.pair { grid-template-columns: repeat(auto-fit, minmax(min(480px, 100%), 1fr)); }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th { text-align: left; color: var(--soft); font-weight: 600; font-size: 13px; }
th, td { padding: 7px 14px 7px 0; border-bottom: 1px solid var(--line); vertical-align: top; }
tbody tr:last-child td { border-bottom: 0; }
.number { text-align: right; white-space: nowrap; }
.text { min-width: 320px; overflow-wrap: anywhere; }
@media (max-width: 600px) {
  main { padding: 18px 10px 40px; }
  h1 { font-size: 21px; }
  section { padding: 16px 14px; }
  .tiles { grid-template-columns: repeat(auto-fit, minmax(140px, 1fr)); gap: 10px; }
  .tile { padding: 12px 14px; }
  .tile strong { font-size: 25px; }
}
@media print {
  body { background: none; }
  section, .tile { break-inside: avoid; }
}
"""
