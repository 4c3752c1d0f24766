"""The evaluation as one HTML page that opens by itself: no script, no font, no picture from anywhere else."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from charts import short
from evaluation import Evaluation, TargetEvaluation
from gate import Check
from report_parts import METRICS, number, row, table, tile, wide
from report_parts import section as part
from report_style import STYLE
from report_target import figures_table, headlines, sections

INTERVALS = """Intervals hold 95 % of the values that the figure takes when as many test rows are drawn anew
with replacement."""


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
        part("All figures", INTERVALS, figures_table(target.figures)),
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
            part("All figures", INTERVALS, figures_table(each.figures)),
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
        name = f"{escape(short(target))}: {METRICS[metric]}" if target else METRICS[metric]
        cells = [name, number(bound), number(f"{check.value:.4f}")]
        rows.append(row(*cells) + f'<td class="{"passed" if check.passed else "missed"}">{word}</td>')
    return f"<section>{wide(table(['Threshold on', '#Bound', '#Value', 'Result'], rows))}</section>"
