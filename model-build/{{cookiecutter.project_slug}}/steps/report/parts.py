"""What report.html is made of: boxes, tables, and charts as inline SVG, with no library and nothing to fetch.

The charts' colours are from the palette of Okabe and Ito, which people with colour blindness can tell apart;
every mark carries its numbers as a hover title as well, and every picture a description for screen readers.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

import numpy as np

from evaluation.scores import Calibration, ClassScores

BLUE, VERMILION, GREEN, ORANGE = "#0072b2", "#d55e00", "#009e73", "#e69f00"

INK, SOFT, LINE, EMPTY = "var(--ink)", "var(--soft)", "var(--line)", "var(--empty)"  # of page.py

CELL_NUMBERS = 20
"""Up to how many classes a confusion matrix has room for a number in each cell."""


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


def confusion_chart(matrix: np.ndarray, labels: Sequence[str]) -> str:
    """Draw a confusion matrix: the deeper a cell, the larger its share of the true class.

    Args:
        matrix: rows for the true classes, columns for the predicted ones; shape (classes, classes).
        labels: the names of the classes.
    """
    classes = len(labels)
    numbers, many = classes <= CELL_NUMBERS, classes > 40
    cell = 11.0 if many else 18.0 if not numbers else max(34.0, min(64.0, 420 / classes))
    font = 9.0 if many else 12.0
    corner = "true ↓  predicted →"
    longest = 0.6 * font * max(len(short(label)) for label in labels)
    left = 16 + max(longest, 0.55 * font * len(corner))
    # Column labels lean while there is room for that, and stand upright where there is not.
    turn, top = (-90, 16 + longest) if many else (-45, 18 + 0.72 * longest)
    support = matrix.sum(axis=1)
    parts = [_text(left - 8, top - 8, corner, font, anchor="end", colour=SOFT)]
    parts.append(_tag("rect", x=left, y=top, width=cell * classes, height=cell * classes, fill=EMPTY))
    for index, label in enumerate(labels):
        middle = (index + 0.5) * cell
        parts.append(
            _text(left - 6, top + middle + font * 0.35, short(label), font, anchor="end", title=label)
        )
        parts.append(_text(left + middle + font * 0.3, top - 6, short(label), font, title=label, turn=turn))
    for row, column in np.argwhere(matrix > 0):
        count, share = int(matrix[row, column]), matrix[row, column] / support[row]
        colour = BLUE if row == column else VERMILION
        x, y = left + column * cell, top + row * cell
        title = f"{labels[row]} predicted as {labels[column]}: {count} of {support[row]} ({share:.0%})"
        strength = round(0.2 + 0.8 * float(share), 3)
        square = _tag(
            "rect", x=x + 0.5, y=y + 0.5, width=cell - 1, height=cell - 1, fill=colour, fill_opacity=strength
        )
        number = ""
        if numbers:
            ink = "#ffffff" if strength > 0.55 else INK
            number = _text(x + cell / 2, y + cell / 2 + 4.5, str(count), 13, anchor="middle", colour=ink)
        parts.append(_group(title, square + number))
    width = left + cell * classes + (8 if many else top)
    return _svg(
        width, top + cell * classes + 6, f"Confusion matrix of {classes} classes, {support.sum()} rows", parts
    )


def class_chart(scores: ClassScores, labels: Sequence[str]) -> str:
    """Draw precision, recall and F1 of each class as bars beside its support, the lowest F1 first."""
    left, width, row, bar = 14 + 7 * max(len(short(label)) for label in labels), 640.0, 32.0, 7.5
    top = 46.0
    height = top + row * len(labels)
    parts = _legend(left, 12, [("precision", BLUE), ("recall", ORANGE), ("F1", INK)])
    for tick in (0.0, 0.25, 0.5, 0.75, 1.0):
        x = left + tick * width
        parts.append(_tag("line", x1=x, x2=x, y1=top - 4, y2=height, stroke=LINE))
        parts.append(_text(x, top - 9, f"{tick:g}", 11, anchor="middle", colour=SOFT))
    parts.append(_text(left + width + 14, top - 9, "rows", 11, colour=SOFT))
    for place, index in enumerate(np.argsort(scores.f1, kind="stable")):
        y = top + place * row
        label, support = labels[index], int(scores.support[index])
        parts.append(_text(left - 8, y + row / 2 + 3, short(label), 12, anchor="end", title=label))
        parts.append(_text(left + width + 14, y + row / 2 + 3, str(support), 12, colour=SOFT))
        three = (
            ("precision", scores.precision, BLUE),
            ("recall", scores.recall, ORANGE),
            ("F1", scores.f1, INK),
        )
        for line, (name, values, colour) in enumerate(three):
            value = float(values[index])
            mark = _tag(
                "rect",
                x=left,
                y=y + 3 + line * (bar + 1),
                width=max(1.5, value * width),
                height=bar,
                rx=1.5,
                fill=colour,
            )
            parts.append(_group(f"{label}: {name} {value:.3f}, {support} rows", mark))
    return _svg(left + width + 60, height + 8, f"Precision, recall and F1 of {len(labels)} classes", parts)


def confidence_chart(confidence: np.ndarray, correct: np.ndarray, bins: int = 20) -> str:
    """Draw how many answers had which confidence, the wrong ones stacked on the right ones."""
    edges = np.linspace(0, 1, bins + 1)
    right = np.histogram(confidence[correct], edges)[0]
    wrong = np.histogram(confidence[~correct], edges)[0]
    most = -(-max(1, int((right + wrong).max())) // 4) * 4  # four ticks at whole numbers
    ticks = [f"{most * part // 4:,}" for part in range(5)]
    parts, (left, top, width, height) = _axes("confidence", "answers", ticks)
    parts += _legend(left + 8, 10, [("right", BLUE), ("wrong", VERMILION)])
    step = width / bins
    for index in range(bins):
        base = top + height
        for count, colour, word in ((right[index], BLUE, "right"), (wrong[index], VERMILION, "wrong")):
            tall = height * count / most
            base -= tall
            if count:
                x = left + index * step + 1
                mark = _tag("rect", x=x, y=base, width=step - 2, height=tall, fill=colour)
                parts.append(
                    _group(f"confidence {edges[index]:.2f} to {edges[index + 1]:.2f}: {count} {word}", mark)
                )
    return _svg(480, 330, "Histogram of confidence, right and wrong answers", parts)


def reliability_chart(calibration: Calibration) -> str:
    """Draw accuracy against confidence, bin by bin; a well calibrated model follows the diagonal."""
    bins = len(calibration.count)
    ticks = ["0", "0.25", "0.5", "0.75", "1"]
    parts, (left, top, width, height) = _axes("confidence", "accuracy", ticks)
    step = width / bins
    for index in range(bins):
        count, accuracy = int(calibration.count[index]), float(calibration.accuracy[index])
        if not count:
            continue
        mean = float(calibration.confidence[index])
        tall = max(1.5, height * accuracy)
        bar = _tag(
            "rect", x=left + index * step + 1, y=top + height - tall, width=step - 2, height=tall, fill=BLUE
        )
        gap = _tag(
            "line",
            x1=left + mean * width,
            x2=left + mean * width,
            y1=top + height * (1 - mean),
            y2=top + height * (1 - accuracy),
            stroke=VERMILION,
            stroke_width=2,
        )
        parts.append(_group(f"{count} rows: mean confidence {mean:.3f}, accuracy {accuracy:.3f}", bar + gap))
    diagonal = {"x1": left, "y1": top + height, "x2": left + width, "y2": top}
    parts.append(_tag("line", **diagonal, stroke=INK, stroke_dasharray="5 4"))
    parts += _legend(left + 8, 10, [("accuracy", BLUE), ("distance from confidence", VERMILION)])
    return _svg(480, 330, "Reliability diagram: accuracy against confidence", parts)


def coverage_chart(
    coverage: np.ndarray, precision: np.ndarray, now: tuple[float, float], declared: float | None
) -> str:
    """Draw how precise the surest answers are, the more of them are taken.

    Args:
        coverage: share of the texts, rising; shape (points,).
        precision: among these, shape (points,).
        now: where the model stands with its thresholds.
        declared: the precision that it was asked for.
    """
    lowest = min(float(precision.min()), now[1] if now[0] else 1.0, declared or 1.0)
    bottom = max(0.0, np.floor(lowest * 5) / 5 if lowest < 0.8 else 0.8)
    ticks = [f"{bottom + (1 - bottom) * part / 4:.2f}".rstrip("0").rstrip(".") for part in range(5)]
    parts, (left, top, width, height) = _axes("share of the texts", "precision", ticks)

    def place(share: float, value: float) -> tuple[float, float]:
        return left + share * width, top + height * (1 - (value - bottom) / (1 - bottom))

    if declared is not None:
        (_, y), right = place(0, declared), left + width
        line = _tag("line", x1=left, x2=right, y1=y, y2=y, stroke=INK, stroke_dasharray="5 4")
        parts.append(_group(f"declared precision {declared:g}", line))
    points = " ".join(
        ",".join(map(_number, place(float(share), float(value))))
        for share, value in zip(coverage, precision, strict=True)
    )
    parts.append(_tag("polyline", points=points, fill="none", stroke=BLUE, stroke_width=2.5))
    for share, value in zip(coverage, precision, strict=True):
        x, y = place(float(share), float(value))
        dot = _tag("circle", cx=x, cy=y, r=5, fill=BLUE, fill_opacity=0)  # something to point at
        parts.append(_group(f"the surest {share:.1%}: precision {value:.1%}", dot))
    if now[0]:
        x, y = place(*now)
        ring = _tag("circle", cx=x, cy=y, r=7, fill="none", stroke=VERMILION, stroke_width=3)
        parts.append(_group(f"with the thresholds {now[0]:.1%}: precision {now[1]:.1%}", ring))
    parts += _legend(left + 8, 10, [("surest answers first", BLUE), ("with the thresholds", VERMILION)])
    return _svg(480, 330, "Precision of the surest answers against the share of texts that they are", parts)


def short(text: str, most: int = 34) -> str:
    """Return the text, or its beginning with an ellipsis."""
    return text if len(text) <= most else text[: most - 1].rstrip() + "…"


def _axes(across: str, up: str, ticks: Sequence[str]) -> tuple[list[str], tuple[float, float, float, float]]:
    """Return a frame with five ticks on each axis, and its left, top, width and height."""
    left, top, width, height = 62.0, 34.0, 400.0, 246.0
    parts = []
    for index, tick in enumerate(ticks):
        y, x = top + height * (1 - index / 4), left + width * index / 4
        parts.append(_tag("line", x1=left, x2=left + width, y1=y, y2=y, stroke=LINE))
        parts.append(_text(left - 8, y + 4, tick, 11, anchor="end", colour=SOFT))
        parts.append(_text(x, top + height + 17, f"{index / 4:g}", 11, anchor="middle", colour=SOFT))
    parts.append(_text(left + width / 2, top + height + 38, across, 12, anchor="middle", colour=SOFT))
    parts.append(_text(14, top + height / 2, up, 12, anchor="middle", colour=SOFT, turn=-90))
    return parts, (left, top, width, height)


def _legend(x: float, y: float, entries: Sequence[tuple[str, str]]) -> list[str]:
    parts = []
    for name, colour in entries:
        parts.append(_tag("rect", x=x, y=y - 9, width=11, height=11, rx=2, fill=colour))
        parts.append(_text(x + 16, y + 1, name, 12))
        x += 34 + 7 * len(name)
    return parts


def _svg(width: float, height: float, description: str, parts: Sequence[str]) -> str:
    wide, high = _number(width), _number(height)
    size = f'width="{wide}" height="{high}" viewBox="0 0 {wide} {high}"'
    told = f'role="img" aria-label="{escape(description)}"'
    return "\n".join([f'<svg xmlns="http://www.w3.org/2000/svg" {size} {told}>', *parts, "</svg>"])


def _group(title: str, content: str) -> str:
    return f"<g><title>{escape(title)}</title>{content}</g>"


def _tag(name: str, **attributes: Any) -> str:
    pairs = (f'{key.replace("_", "-")}="{escape(_number(value))}"' for key, value in attributes.items())
    return f"<{name} {' '.join(pairs)}/>"


def _text(
    x: float,
    y: float,
    text: str,
    size: float,
    anchor: str = "start",
    colour: str = INK,
    title: str = "",
    turn: int = 0,
) -> str:
    place = f'x="{_number(x)}" y="{_number(y)}" text-anchor="{anchor}"'
    turned = f' transform="rotate({turn} {_number(x)} {_number(y)})"' if turn else ""
    hover = f"<title>{escape(title)}</title>" if title and title != text else ""
    return f'<text {place} font-size="{_number(size)}" fill="{colour}"{turned}>{hover}{escape(text)}</text>'


def _number(value: Any) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)
