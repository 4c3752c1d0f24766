"""The summary of a file's answers, as a table for a terminal."""

import sys
from collections.abc import Mapping
from typing import Any, NamedTuple, Self

from configuration.errors import UserError

BAR = 24  # characters of the longest bar
MOST_LABELS, MOST_ERRORS = 30, 5


class Summary(NamedTuple):
    """`….summary.json`, as far as it is shown."""

    rows: int
    answered: int
    empty: int
    bad: int
    labels: dict[str, int]  # the most frequent first
    mean_scores: dict[str, float]
    errors: dict[str, int]
    model_version: int
    source_key: str
    result_key: str

    @classmethod
    def of(cls, document: Mapping[str, Any], where: str) -> Self:
        """Reads it.

        Raises:
            UserError: it is another kind of document, or of another version of this template.
        """
        try:
            if document["version"] != 1:
                raise ValueError(f"version {document['version']}")
            return cls(
                document["rows"],
                document["answered"],
                document["empty"],
                document["bad"],
                dict(document["labels"]),
                dict(document["mean_scores"]),
                dict(document["errors"]),
                document["model_package_version"],
                document["source"]["key"],
                document["result_key"],
            )
        except (KeyError, TypeError, ValueError) as error:
            raise UserError(f"{where}: expected the summary of a file (version 1), got: {error!r}") from None


def table(summary: Summary) -> str:
    """What came of a file: counts, then each label with its share, a bar and how sure the model was."""
    counts = [("rows", summary.rows), ("answered", summary.answered), ("empty", summary.empty)]
    lines = [f"  {name:<10}{count:>9,}{_share(count, summary.rows)}" for name, count in counts]
    errors = [(what, count) for what, count in summary.errors.items() if what != "no text"]
    lines.append(f"  {'bad':<10}{summary.bad:>9,}{_share(summary.bad, summary.rows)}")
    lines += [f"    {count:>6,} x {plain(what)}" for what, count in errors[:MOST_ERRORS]]
    lines.append(f"  answered by version {summary.model_version} of the model")
    if summary.labels:
        lines += ["", *_labels(summary)]
    return "\n".join(lines)


def columns(rows: list[tuple[str, ...]]) -> str:
    """Rows of cells, as wide as they must be; the first one is the head."""
    widths = [max(len(row[number]) for row in rows) for number in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def plain(text: str, width: int = 60) -> str:
    """A text on one line, without what a terminal would obey; labels and errors may come from anybody."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line if len(line) <= width else line[: width - 1].rstrip() + "…"


def _labels(summary: Summary) -> list[str]:
    most, block = max(summary.labels.values()), _block()
    shown = list(summary.labels.items())[:MOST_LABELS]
    rows = [("label", "rows", "share", "", "mean score")]
    for label, count in shown:
        score = summary.mean_scores.get(label)
        bar = block * max(1, round(BAR * count / most)) if count else ""
        share = f"{100 * count / summary.answered:.1f} %" if summary.answered else ""
        rows.append((plain(label, 30), f"{count:,}", share, bar, "" if score is None else f"{score:.2f}"))
    widths = [max(len(row[number]) for row in rows) for number in range(5)]
    lines = [
        "  ".join(f"{cell:{side}{width}}" for cell, side, width in zip(row, "<>><>", widths, strict=True))
        for row in rows
    ]
    lines = [f"  {line.rstrip()}" for line in lines]
    if (rest := len(summary.labels) - len(shown)) > 0:
        lines.append(f"  and {rest} more labels")
    return lines


def _share(count: int, rows: int) -> str:
    return f"  {100 * count / rows:5.1f} %" if rows and count != rows else ""


def _block() -> str:
    """What bars are made of: some terminals of Windows and some builds have no block."""
    try:
        "█".encode(sys.stdout.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return "#"
    return "█"
