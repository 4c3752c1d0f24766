"""The parts that report.html is made of, and what its figures are called."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

METRICS = {
    "accuracy": "Accuracy",
    "micro_precision": "Micro precision",
    "micro_recall": "Micro recall",
    "micro_f1": "Micro F1",
    "macro_precision": "Macro precision",
    "macro_recall": "Macro recall",
    "macro_f1": "Macro F1",
    "weighted_precision": "Weighted precision",
    "weighted_recall": "Weighted recall",
    "weighted_f0_5": "Weighted F0.5",
    "weighted_f1": "Weighted F1",
    "weighted_f2": "Weighted F2",
    "exact_match": "Exact match",
    "hamming_loss": "Hamming loss",
    "expected_calibration_error": "Expected calibration error",
}
"""What people call the figures."""


def section(title: str, explanation: str, content: str) -> str:
    """Return a box with a heading."""
    return f"<section><h2>{title}</h2><p>{explanation}</p>\n{content}</section>"


def tile(name: str, value: str, note: str) -> str:
    """Return one large figure."""
    return f'<div class="tile"><span>{name}</span><strong>{value}</strong><span>{note}</span></div>'


def wide(content: str) -> str:
    """Let what is wider than the page scroll by itself."""
    return f'<div class="wide">{content}</div>'


def table(head: Sequence[str], rows: Iterable[str]) -> str:
    """Return a table; a heading that begins with ``#`` stands over numbers."""
    cells = (
        f'<th scope="col" class="number">{name[1:]}</th>'
        if name[0] == "#"
        else f'<th scope="col">{name}</th>'
        for name in head
    )
    body = "\n".join(f"<tr>{each}</tr>" for each in rows)
    return f"<table><thead><tr>{''.join(cells)}</tr></thead><tbody>\n{body}\n</tbody></table>"


def row(*cells: str) -> str:
    """Return the cells of one row; those that are no ``<td>`` yet become one."""
    return "".join(cell if cell.startswith("<td") else f"<td>{cell}</td>" for cell in cells)


def number(text: str) -> str:
    """Return a cell with a number."""
    return f'<td class="number">{text}</td>'
