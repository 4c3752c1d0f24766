"""Results as SVG: bars of the medians with every round's dot, and curves of how a figure grows.

Written by hand, with no library and nothing to fetch. The colours are from the palette of Okabe and Ito,
which people with colour blindness can tell apart; the background is white, as a page shows it as an image.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#e69f00", "#cc79a7", "#56b4e9", "#000000")
INK, SOFT, LINE = "#222222", "#5f6368", "#dadce0"
WIDTH, ROW, FONT = 720.0, 26.0, 12.0


@dataclass(frozen=True)
class Curve:
    """How a figure grows with another."""

    title: str
    across: str
    """The name and the unit of the values across, "rows"."""
    up: str
    points: Mapping[str, Sequence[tuple[float, float]]] = field(default_factory=dict)
    """Side -> points (across, up), from left to right."""
    logarithmic: bool = True
    """The values across, each ten times as many equally far apart; what goes up begins at 0."""


def picture(
    title: str, results: Mapping[str, Mapping[str, Sequence[float]]], curves: Sequence[Curve] = ()
) -> str:
    """Draw all results of a benchmark.

    Args:
        title: above the picture.
        results: side -> metric -> values of the rounds.
        curves: below the bars.
    """
    sides = list(dict.fromkeys([*results, *(side for curve in curves for side in curve.points)]))
    colours = {side: COLOURS[index % len(COLOURS)] for index, side in enumerate(sides)}
    metrics = list(dict.fromkeys(metric for side in results.values() for metric in side))
    parts, top = [_text(16, 26, title, 15, weight="bold")], 44.0
    for metric in metrics:
        panel, top = _bars(
            metric, {side: each[metric] for side, each in results.items() if metric in each}, colours, top
        )
        parts += panel
    for curve in curves:
        panel, top = _curve(curve, colours, top)
        parts += panel
    described = f"{title}: " + "; ".join(_said(metric, results) for metric in metrics)
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_number(WIDTH)}" height="{_number(top)}" '
        f'viewBox="0 0 {_number(WIDTH)} {_number(top)}" role="img" aria-label="{escape(described)}" '
        'font-family="system-ui, sans-serif">'
    )
    return "\n".join(
        [head, _tag("rect", width=WIDTH, height=top, rx=6.0, fill="#ffffff"), *parts, "</svg>", ""]
    )


def _said(metric: str, results: Mapping[str, Mapping[str, Sequence[float]]]) -> str:
    values = [
        f"{side} {short_number(statistics.median(each[metric]))}"
        for side, each in results.items()
        if metric in each
    ]
    return f"{metric}: {', '.join(values)}"


def _bars(
    metric: str, sides: Mapping[str, Sequence[float]], colours: Mapping[str, str], top: float
) -> tuple[list[str], float]:
    """One metric: a bar for each side, as long as its median, with a dot for each round."""
    left, right = 24.0 + 6.6 * max(len(_short(side)) for side in sides), 90.0
    most = max(max(max(values) for values in sides.values()), 0.0) or 1.0
    width = WIDTH - left - right
    parts = [_text(16, top + 16, metric, FONT, weight="bold", colour=SOFT)]
    for index, (side, values) in enumerate(sides.items()):
        y, middle = top + 26 + index * ROW, statistics.median(values)
        long = max(1.0, width * max(middle, 0.0) / most)
        mark = _tag("rect", x=left, y=y + 3, width=long, height=ROW - 10, rx=2.0, fill=colours[side])
        low, high = short_number(min(values)), short_number(max(values))
        told = f"{side}: median {short_number(middle)}, {low} to {high}"
        parts.append(f"<g><title>{escape(told)}</title>{mark}</g>")
        parts.append(_text(left - 8, y + 15, _short(side), FONT, anchor="end"))
        for value in values if len(values) > 1 else ():
            x = left + width * max(value, 0.0) / most
            parts.append(
                _tag("circle", cx=x, cy=y + 11, r=2.6, fill="#ffffff", stroke=INK, fill_opacity=0.85)
            )
        furthest = left + width * max(max(values), 0.0) / most
        parts.append(_text(max(furthest, left + long) + 10, y + 15, short_number(middle), FONT))
    return parts, top + 26 + len(sides) * ROW + 10


def _curve(curve: Curve, colours: Mapping[str, str], top: float) -> tuple[list[str], float]:
    """One picture of growth, with its legend."""
    left, width, height = 74.0, WIDTH - 110.0, 210.0
    across = sorted({x for points in curve.points.values() for x, _ in points})
    most = _round_up(max((y for points in curve.points.values() for _, y in points), default=1.0))
    scale = math.log10 if curve.logarithmic else float
    low, high = scale(across[0]), scale(across[-1])
    frame, bottom = top + 58, top + 58 + height

    def place(x: float, y: float) -> tuple[float, float]:
        share = (scale(x) - low) / (high - low) if high > low else 0.5
        return left + width * share, bottom - height * y / most

    parts = [_text(16, top + 16, curve.title, FONT, weight="bold", colour=SOFT)]
    x = left
    for side in curve.points:
        parts.append(_tag("rect", x=x, y=top + 28, width=11.0, height=11.0, rx=2.0, fill=colours[side]))
        parts.append(_text(x + 16, top + 38, side, FONT))
        x += 36 + 6.8 * len(side)
    for part in range(5):
        y = bottom - height * part / 4
        parts.append(_tag("line", x1=left, x2=left + width, y1=y, y2=y, stroke=LINE))
        parts.append(_text(left - 8, y + 4, short_number(most * part / 4), 11, anchor="end", colour=SOFT))
    for value in across:
        parts.append(
            _text(place(value, 0)[0], bottom + 17, f"{value:,.10g}", 11, anchor="middle", colour=SOFT)
        )
    parts.append(_text(left + width / 2, bottom + 36, curve.across, FONT, anchor="middle", colour=SOFT))
    parts.append(_text(left - 58, frame - 6, curve.up, FONT, colour=SOFT))
    for side, points in curve.points.items():
        line = " ".join(",".join(map(_number, place(*point))) for point in points)
        parts.append(_tag("polyline", points=line, fill="none", stroke=colours[side], stroke_width=2.5))
        for point in points:
            x, y = place(*point)
            dot = _tag("circle", cx=x, cy=y, r=4.0, fill=colours[side])
            told = f"{side}: {point[0]:,.10g} {curve.across}, {short_number(point[1])} {curve.up}"
            parts.append(f"<g><title>{escape(told)}</title>{dot}</g>")
    return parts, bottom + 52


def _round_up(value: float) -> float:
    """The next number above with a short name, so that its quarters have one as well."""
    if value <= 0:
        return 1.0
    ten = 10.0 ** math.floor(math.log10(value))
    return next(step * ten for step in (1, 2, 4, 6, 8, 10) if step * ten >= value)


def short_number(value: float) -> str:
    """Three significant digits, all digits before the point, and separators of thousands."""
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    text = f"{value:,.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _short(text: str, most: int = 36) -> str:
    return text if len(text) <= most else text[: most - 1].rstrip() + "…"


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
    weight: str = "normal",
) -> str:
    place = f'x="{_number(x)}" y="{_number(y)}" text-anchor="{anchor}"'
    bold = f' font-weight="{weight}"' if weight != "normal" else ""
    return f'<text {place} font-size="{_number(size)}" fill="{colour}"{bold}>{escape(text)}</text>'


def _number(value: Any) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)
