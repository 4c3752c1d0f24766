"""The summary of a file's answers, as a table for a terminal."""

import sys
from collections.abc import Mapping
from typing import Any, NamedTuple, Self

from configuration import UserError

BAR = 24  # characters of the longest bar
MOST_LABELS, MOST_ERRORS = 30, 5


class Figures(NamedTuple):
    """What was answered about one target."""

    labels: dict[str, int]  # the most frequent first
    mean_scores: dict[str, float]
    several: bool  # whether a row may have any number of labels
    without_label: int  # rows with none of several
    needs_review: int | None  # rows that a person should look at; None: the model does not say it

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Self:
        """Reads them."""
        return cls(
            dict(document["labels"]),
            dict(document["mean_scores"]),
            bool(document.get("several", False)),
            int(document.get("without_label", 0)),
            document.get("needs_review"),
        )

    def most_frequent(self, answered: int) -> str:
        """The label of most rows, and its share of them; "" of no row."""
        label = next(iter(self.labels), None)
        if label is None:
            return ""
        return f"{plain(label, 24)} ({100 * self.labels[label] / answered:.0f} %)"


class Summary(NamedTuple):
    """`….summary.json`, as far as it is shown."""

    rows: int
    answered: int
    empty: int
    bad: int
    targets: dict[str, Figures]  # by name; "" is the only one of a model that has one
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
            targets = dict(document["targets"]) if "targets" in document else {"": document}
            return cls(
                document["rows"],
                document["answered"],
                document["empty"],
                document["bad"],
                {name: Figures.of(figures) for name, figures in targets.items()},
                dict(document["errors"]),
                document["model_package_version"],
                document["source"]["key"],
                document["result_key"],
            )
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise UserError(f"{where}: expected the summary of a file (version 1), got: {error!r}") from None

    @property
    def needs_review(self) -> dict[str, int]:
        """How many rows a person should look at, for each target of which the model says it."""
        found = {name: figures.needs_review for name, figures in self.targets.items()}
        return {name: count for name, count in found.items() if count is not None}


def table(summary: Summary) -> str:
    """What came of a file: counts, then each label with its share, a bar and how sure the model was."""
    counts = [("rows", summary.rows), ("answered", summary.answered), ("empty", summary.empty)]
    lines = [f"  {name:<10}{count:>9,}{_share(count, summary.rows)}" for name, count in counts]
    errors = [(what, count) for what, count in summary.errors.items() if what != "no text"]
    lines.append(f"  {'bad':<10}{summary.bad:>9,}{_share(summary.bad, summary.rows)}")
    lines += [f"    {count:>6,} x {plain(what)}" for what, count in errors[:MOST_ERRORS]]
    lines.append(f"  answered by version {summary.model_version} of the model")
    for name, figures in summary.targets.items():
        if summary.answered:
            lines += ["", *([f"  {name}"] if name else []), *_labels(figures, summary.answered)]
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


def _labels(figures: Figures, answered: int) -> list[str]:
    most, block = max(figures.labels.values(), default=1), _block()
    shown = list(figures.labels.items())[:MOST_LABELS]
    rows = [("label", "rows", "share", "", "mean score")]
    for label, count in shown:
        score = figures.mean_scores.get(label)
        bar = block * max(1, round(BAR * count / most)) if count else ""
        share = f"{100 * count / answered:.1f} %"
        rows.append((plain(label, 30), f"{count:,}", share, bar, "" if score is None else f"{score:.2f}"))
    widths = [max(len(row[number]) for row in rows) for number in range(5)]
    lines = [
        "  ".join(f"{cell:{side}{width}}" for cell, side, width in zip(row, "<>><>", widths, strict=True))
        for row in rows
    ]
    lines = [f"  {line.rstrip()}" for line in lines]
    if (rest := len(figures.labels) - len(shown)) > 0:
        lines.append(f"  and {rest} more labels")
    if figures.several:
        lines.append(f"  {figures.without_label:,} rows have no label, others may have several")
    if figures.needs_review is not None:
        share = f" ({100 * figures.needs_review / answered:.1f} %)"
        lines.append(f"  a person should look at {figures.needs_review:,} rows{share}")
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
