"""The evaluation as one HTML page that opens by itself: no script, no font, no picture from anywhere else."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape

from charts import class_chart, confidence_chart, confusion_chart, reliability_chart, short
from evaluation import Evaluation, Mistake
from gate import Check
from metrics import Estimate
from report_style import STYLE

NAMES = {
    "accuracy": "Accuracy",
    "macro_precision": "Macro precision",
    "macro_recall": "Macro recall",
    "macro_f1": "Macro F1",
    "weighted_precision": "Weighted precision",
    "weighted_recall": "Weighted recall",
    "weighted_f0_5": "Weighted F0.5",
    "weighted_f1": "Weighted F1",
    "weighted_f2": "Weighted F2",
    "expected_calibration_error": "Expected calibration error",
}
HEADLINES = ("accuracy", "macro_f1", "weighted_f1", "expected_calibration_error")
TEXT_SHOWN = 280

CONFUSION = """Each row is a true class, each column what the model answered. Blue is right, orange wrong; the
deeper, the larger the share of the row. Point at a cell for its numbers."""
CLASSES = """Precision: how many of the answers with this class were right. Recall: how many texts of this
class were found. F1 is their harmonic mean. The weakest class comes first; the figures of classes with few
rows are uncertain."""
CONFIDENCE = """On the left how sure the model was of its answers, on the right how often answers of that
confidence were right: where it can be trusted, the bars end at the dashed line."""
INTERVALS = """Intervals hold 95 % of the values that the figure takes when as many test rows are drawn anew
with replacement."""


def page(evaluation: Evaluation, compared: str = "") -> str:
    """Return the report as HTML; ``compared``: the sections about the live model."""
    title = f"{escape(evaluation.title)}: evaluation"
    confusion = confusion_chart(evaluation.matrix, evaluation.labels)
    confidence = confidence_chart(evaluation.confidence, evaluation.correct)
    reliability = reliability_chart(evaluation.calibration)
    body = [
        f"<header><h1>{title}</h1>\n{_facts(evaluation)}</header>",
        _gate(evaluation),
        _tiles(evaluation.figures),
        _thresholds(evaluation.checks),
        _section("Where it errs", CONFUSION, _wide(confusion)),
        _section("Each class", CLASSES, _wide(class_chart(evaluation.scores, evaluation.labels))),
        _section(
            "How far its confidence can be trusted",
            CONFIDENCE,
            f'<div class="pair">{_wide(confidence)}{_wide(reliability)}</div>',
        ),
        _mistakes(evaluation),
        compared,
        _section("All figures", INTERVALS, _figures(evaluation.figures)),
    ]
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
            *body,
            "</main>",
            "</body>",
            "</html>",
            "",
        ]
    )


def _facts(evaluation: Evaluation) -> str:
    size = f"{len(evaluation.correct):,} rows, {len(evaluation.labels)} classes"
    facts = {"Test set": size, **evaluation.facts}
    pairs = (f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in facts.items())
    return f"<dl>{''.join(pairs)}</dl>"


def _gate(evaluation: Evaluation) -> str:
    word = "passed" if evaluation.passed else "missed"
    return (
        f'<section class="gate {word}"><b>Gate {word}</b> <span>{escape(evaluation.message)}</span></section>'
    )


def _tiles(figures: Mapping[str, Estimate]) -> str:
    tiles = []
    for name in HEADLINES:
        figure = figures[name]
        interval = f"95 % interval {figure.low:.3f} to {figure.high:.3f}"
        value = f"<strong>{figure.value:.3f}</strong>"
        tiles.append(f'<div class="tile"><span>{NAMES[name]}</span>{value}<span>{interval}</span></div>')
    return f'<div class="tiles">{"".join(tiles)}</div>'


def _thresholds(checks: Sequence[Check]) -> str:
    if not checks:
        return ""
    rows = []
    for check in checks:
        bound = f"{'at least' if check.kind == 'at_least' else 'at most'} {check.bound:g}"
        word = "met" if check.passed else "missed"
        cells = [NAMES[check.metric], _number(bound), _number(f"{check.value:.4f}")]
        rows.append(_row(*cells) + f'<td class="{"passed" if check.passed else "missed"}">{word}</td>')
    return f"<section>{_table(['Threshold on', '#Bound', '#Value', 'Result'], rows)}</section>"


def _mistakes(evaluation: Evaluation) -> str:
    title, rows = "Most confident mistakes", len(evaluation.correct)
    wrong = rows - int(evaluation.correct.sum())
    if not wrong:
        return _section(title, f"None: all {rows} answers were right.", "")
    explanation = (
        f"{wrong} of {rows} answers were wrong; these are the ones the model was surest of. "
        "Look for wrong labels in the data first."
    )
    head = ["#Row", "#Confidence", "True class", "Answer", "Text"]
    return _section(title, explanation, _wide(_table(head, map(_mistake, evaluation.mistakes))))


def _mistake(mistake: Mistake) -> str:
    text = escape(short(" ".join(mistake.text.split()), TEXT_SHOWN))
    cells = [
        _number(str(mistake.row)),
        _number(f"{mistake.confidence:.3f}"),
        escape(mistake.label),
        escape(mistake.prediction),
    ]
    return _row(*cells) + f'<td class="text">{text}</td>'


def _figures(figures: Mapping[str, Estimate]) -> str:
    rows = [
        _row(
            NAMES[name],
            _number(f"{figure.value:.4f}"),
            _number(f"{figure.low:.4f} to {figure.high:.4f}"),
            _number(f"{figure.standard_deviation:.4f}"),
        )
        for name, figure in figures.items()
    ]
    return _table(["Figure", "#Value", "#95 % interval", "#Standard deviation"], rows)


def _section(title: str, explanation: str, content: str) -> str:
    return f"<section><h2>{title}</h2><p>{explanation}</p>\n{content}</section>"


def _wide(content: str) -> str:
    """Let what is wider than the page scroll by itself."""
    return f'<div class="wide">{content}</div>'


def _table(head: Sequence[str], rows: Iterable[str]) -> str:
    """Return a table; a heading that begins with ``#`` stands over numbers."""
    cells = (
        f'<th scope="col" class="number">{name[1:]}</th>'
        if name[0] == "#"
        else f'<th scope="col">{name}</th>'
        for name in head
    )
    body = "\n".join(f"<tr>{row}</tr>" for row in rows)
    return f"<table><thead><tr>{''.join(cells)}</tr></thead><tbody>\n{body}\n</tbody></table>"


def _row(*cells: str) -> str:
    return "".join(cell if cell.startswith("<td") else f"<td>{cell}</td>" for cell in cells)


def _number(text: str) -> str:
    return f'<td class="number">{text}</td>'
