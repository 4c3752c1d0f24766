"""The evaluation as one HTML file that opens by itself: no script, no font, no picture from anywhere else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

import numpy as np

from charts import class_chart, confidence_chart, confusion_chart, reliability_chart, short
from gate import Check
from metrics import Calibration, ClassScores, Estimate

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

STYLE = """
:root { color-scheme: light; --ink: #1f2933; --soft: #616e7c; --line: #d5dbe1; --good: #00684a; --bad: #a63c00; }
* { box-sizing: border-box; }
body { margin: 0; background: #eef1f4; color: var(--ink); font: 15px/1.5 system-ui, "Segoe UI", Roboto,
Helvetica, Arial, sans-serif; } main { max-width: 1180px; margin: 0 auto; padding: 32px 20px 60px; } h1 {
font-size: 26px; line-height: 1.25; margin: 0 0 4px; } h2 { font-size: 18px; margin: 0 0 4px; } p { margin: 0
0 12px; color: var(--soft); max-width: 76ch; } section { background: #fff; border: 1px solid var(--line);
border-radius: 10px; padding: 22px 24px; margin-top: 18px; } svg { display: block; max-width: none;
font-family: inherit; } .wide { overflow-x: auto; } .gate { display: flex; gap: 14px; align-items: baseline;
border-left: 6px solid; } .gate b { font-size: 17px; white-space: nowrap; } .passed { border-left-color:
var(--good); } .passed b, td.passed { color: var(--good); } .missed { border-left-color: var(--bad); } .missed
b, td.missed { color: var(--bad); } .tiles { display: grid; grid-template-columns: repeat(auto-fit,
minmax(190px, 1fr)); gap: 14px; margin-top: 18px; } .tile { background: #fff; border: 1px solid var(--line);
border-radius: 10px; padding: 16px 18px; } .tile span { display: block; color: var(--soft); font-size: 13px; }
.tile strong { display: block; font-size: 30px; line-height: 1.3; font-variant-numeric: tabular-nums; } .pair
{ display: grid; grid-template-columns: repeat(auto-fit, minmax(480px, 1fr)); gap: 10px; } table {
border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; } th { text-align: left; color:
var(--soft); font-weight: 600; font-size: 13px; } th, td { padding: 7px 14px 7px 0; border-bottom: 1px solid
var(--line); vertical-align: top; } tbody tr:last-child td { border-bottom: 0; } .number { text-align: right;
white-space: nowrap; } .text { min-width: 320px; overflow-wrap: anywhere; } dl { display: grid;
grid-template-columns: max-content 1fr; gap: 2px 16px; margin: 10px 0 0; font-size: 14px; } dt { color:
var(--soft); } dd { margin: 0; overflow-wrap: anywhere; } @media print { body { background: #fff; } section,
.tile { break-inside: avoid; } }
"""


@dataclass(frozen=True)
class Mistake:
    """A wrong answer."""

    row: int
    text: str
    label: str
    prediction: str
    confidence: float


@dataclass(frozen=True)
class Evaluation:
    """All that the report shows; the arrays are as in metrics.py."""

    title: str
    labels: Sequence[str]
    figures: Mapping[str, Estimate]
    matrix: np.ndarray
    scores: ClassScores
    calibration: Calibration
    confidence: np.ndarray
    correct: np.ndarray
    mistakes: Sequence[Mistake]
    checks: Sequence[Check]
    message: str
    facts: Mapping[str, str]


def write_report(path: Path, evaluation: Evaluation) -> None:
    """Write the report."""
    path.write_text(page(evaluation), encoding="utf-8")


def page(evaluation: Evaluation) -> str:
    """Return the report as HTML."""
    title = escape(evaluation.title)
    wrong = len(evaluation.correct) - int(evaluation.correct.sum())
    rows = len(evaluation.correct)
    sections = [
        f"<header><h1>{title}: evaluation</h1>\n{_facts(evaluation)}</header>",
        _gate(evaluation),
        _tiles(evaluation),
        _thresholds(evaluation.checks),
        _section(
            "Where it errs",
            "Each row is a true class, each column what the model answered. Blue is right, orange wrong; the deeper, the larger "
            "the share of the row. Point at a cell for its numbers.",
            f'<div class="wide">{confusion_chart(evaluation.matrix, evaluation.labels)}</div>',
        ),
        _section(
            "Each class",
            "Precision: how many of the answers with this class were right. Recall: how many texts of this class were found. "
            "F1 is their harmonic mean. The weakest class comes first; figures of classes with few rows are uncertain.",
            f'<div class="wide">{class_chart(evaluation.scores, evaluation.labels)}</div>',
        ),
        _section(
            "How far its confidence can be trusted",
            "On the left how sure the model was of its answers, on the right how often answers of that confidence were right.",
            f'<div class="pair"><div class="wide">{confidence_chart(evaluation.confidence, evaluation.correct)}</div>'
            f'<div class="wide">{reliability_chart(evaluation.calibration)}</div></div>',
        ),
        _section(
            "Most confident mistakes",
            f"{wrong} of {rows} answers were wrong; these are the ones the model was surest of. Look for wrong labels first."
            if wrong
            else f"None: all {rows} answers were right.",
            _mistakes(evaluation.mistakes),
        ),
        _section(
            "All figures",
            "Intervals hold 95 % of the values that the figure takes when the test rows are drawn anew with replacement.",
            _figures(evaluation.figures),
        ),
    ]
    head = (
        '<meta charset="utf-8">\n<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{title}: evaluation</title>\n<style>{STYLE}</style>"
    )
    body = "\n".join(sections)
    return f'<!DOCTYPE html>\n<html lang="en">\n<head>\n{head}\n</head>\n<body>\n<main>\n{body}\n</main>\n</body>\n</html>\n'


def _facts(evaluation: Evaluation) -> str:
    facts = {
        "Test set": f"{len(evaluation.correct):,} rows, {len(evaluation.labels)} classes",
        **evaluation.facts,
    }
    return (
        "<dl>"
        + "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in facts.items())
        + "</dl>"
    )


def _gate(evaluation: Evaluation) -> str:
    passed = all(check.passed for check in evaluation.checks)
    word = "Gate passed" if passed else "Gate missed"
    kind = "passed" if passed else "missed"
    return f'<section class="gate {kind}"><b>{word}</b> <span>{escape(evaluation.message)}</span></section>'


def _thresholds(checks: Sequence[Check]) -> str:
    if not checks:
        return ""
    rows = [
        f"<tr><td>{NAMES[check.metric]}</td>"
        f'<td class="number">{"at least" if check.kind == "at_least" else "at most"} {check.bound:g}</td>'
        f'<td class="number">{check.value:.4f}</td>'
        f'<td class="{"passed" if check.passed else "missed"}">{"met" if check.passed else "missed"}</td></tr>'
        for check in checks
    ]
    head = '<th>Threshold on</th><th class="number">Bound</th><th class="number">Value</th><th>Result</th>'
    return f"<section>{_table(head, rows)}</section>"


def _tiles(evaluation: Evaluation) -> str:
    tiles = []
    for name in HEADLINES:
        figure = evaluation.figures[name]
        tiles.append(
            f'<div class="tile"><span>{NAMES[name]}</span><strong>{figure.value:.3f}</strong>'
            f"<span>95 % interval {figure.low:.3f} to {figure.high:.3f}</span></div>"
        )
    return f'<div class="tiles">{"".join(tiles)}</div>'


def _mistakes(mistakes: Sequence[Mistake]) -> str:
    if not mistakes:
        return ""
    rows = [
        f'<tr><td class="number">{mistake.row}</td><td class="number">{mistake.confidence:.3f}</td>'
        f"<td>{escape(mistake.label)}</td><td>{escape(mistake.prediction)}</td>"
        f'<td class="text">{escape(_one_line(mistake.text))}</td></tr>'
        for mistake in mistakes
    ]
    head = '<th class="number">Row</th><th class="number">Confidence</th><th>True class</th><th>Answer</th><th>Text</th>'
    return f'<div class="wide">{_table(head, rows)}</div>'


def _one_line(text: str) -> str:
    return short(" ".join(text.split()), TEXT_SHOWN)


def _figures(figures: Mapping[str, Estimate]) -> str:
    rows = [
        f'<tr><td>{NAMES[name]}</td><td class="number">{figure.value:.4f}</td>'
        f'<td class="number">{figure.low:.4f} to {figure.high:.4f}</td>'
        f'<td class="number">{figure.standard_deviation:.4f}</td></tr>'
        for name, figure in figures.items()
    ]
    head = '<th>Figure</th><th class="number">Value</th><th class="number">95 % interval</th><th class="number">Standard deviation</th>'
    return _table(head, rows)


def _section(title: str, explanation: str, content: str) -> str:
    return f"<section><h2>{title}</h2><p>{explanation}</p>\n{content}</section>"


def _table(head: str, rows: Sequence[str]) -> str:
    return f"<table><thead><tr>{head}</tr></thead><tbody>\n{chr(10).join(rows)}\n</tbody></table>"
