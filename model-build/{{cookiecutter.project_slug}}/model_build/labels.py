"""The labels in local data files, counted before a run: what steps/preprocess.py would refuse, by target.

It reads as that step does, but with the standard library and row by row, and it compares no texts: which
texts occur twice, or with different labels, only the step finds.
"""

import csv
import json
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, TextIO

from .config import Data
from .targets import TargetColumn

MOST_BYTES = 200 << 20
"""Files together that are read here: some ten seconds."""

MOST_LABELS = 10_000
SHOWN = 5

csv.field_size_limit(min(sys.maxsize, 2**31 - 1))  # the default of 128 KiB is shorter than some emails


@dataclass
class Counts:
    """What the rows of some files hold.

    Attributes:
        rows: all of them, also those without text.
        labels: target -> label -> texts.
        lacking: target -> texts without the label that there has to be, and where the first of them are.
        unusable: texts that lack the label of some target.
    """

    rows: int = 0
    unusable: int = 0
    labels: dict[str, Counter[str]] = field(default_factory=dict)
    lacking: dict[str, list[str]] = field(default_factory=dict)


def records(text: TextIO, kind: str) -> Iterator[dict[str, Any]]:
    """The rows of an open CSV or JSON Lines file."""
    if kind == "csv":
        yield from csv.DictReader(text)
        return
    for line in filter(str.strip, text):
        record = json.loads(line)
        if isinstance(record, dict):
            yield record


def count(rows: Iterable[dict[str, Any]], name: str, data: Data, counts: Counts) -> None:
    """Add the rows of the file `name` to the counts."""
    for number, row in enumerate(rows, 1):
        counts.rows += 1
        if not any(_text(row.get(column)) for column in data.text_columns):
            continue
        good = True
        for target, column in data.labels.items():
            found = _labels(row.get(column.column), column)
            counts.labels.setdefault(target, Counter()).update(found)
            if not found and not column.several:
                counts.lacking.setdefault(target, []).append(f"{name} row {number:,}")
                good = False
        counts.unusable += not good


def problems(counts: Counts, data: Data) -> list[str]:
    """What a run would refuse, a line for each."""
    found = []
    drawn = 2 if data.test_source is not None else 3
    share = counts.unusable / max(1, counts.rows)
    for target, places in counts.lacking.items():
        if share > data.max_bad_label_share:
            shown = ", ".join(places[:SHOWN]) + (", …" if len(places) > SHOWN else "")
            found.append(
                f"{_key(target, data)}: expected a label in {data.labels[target].column!r} of at least "
                f"{1 - data.max_bad_label_share:.2%} of the rows, found none in {len(places):,} of "
                f"{counts.rows:,} ({shown}); label them, or raise data.max_bad_label_share"
            )
    for target, column in data.labels.items():
        labels = counts.labels.get(target, Counter())
        rare = [f"{label!r} ({number})" for label, number in sorted(labels.items()) if number < drawn]
        if len(labels) < (1 if column.several else 2):
            what = "labels" if column.several else "at least two classes"
            shown = ", ".join(map(repr, labels)) or "none"
            found.append(f"{_key(target, data)}: expected {what} in {column.column!r}, found {shown}")
        elif len(labels) > MOST_LABELS:
            found.append(
                f"{_key(target, data)}: expected classes, found more than {MOST_LABELS:,} values in "
                f"{column.column!r}; name the column that holds the labels"
            )
        elif rare:
            more = f", and {len(rare) - 2 * SHOWN:,} more" if len(rare) > 2 * SHOWN else ""
            found.append(
                f"{_key(target, data)}: expected at least {drawn} texts of each class, one for each set, "
                f"found fewer of {', '.join(rare[: 2 * SHOWN])}{more}; add texts, merge the class with "
                "another, or remove its rows"
            )
    return found


def summary(counts: Counts, data: Data) -> str:
    """The targets with their labels in a few words."""
    parts = []
    for target, column in data.labels.items():
        labels = counts.labels[target]
        rarest, number = min(labels.items(), key=lambda item: (item[1], item[0]))
        what = "labels" if column.several else "classes"
        parts.append(f"{target} has {len(labels)} {what}, the rarest is {rarest!r} ({number:,})")
    return f"{counts.rows:,} rows; " + "; ".join(parts)


def _key(target: str, data: Data) -> str:
    return "config/model.yaml: data." + ("label_column" if data.targets is None else f"targets.{target}")


def _labels(value: Any, column: TargetColumn) -> set[str]:
    if column.between is None:
        label = _text(value)
        return {label} if label else set()
    parts = value if isinstance(value, list) else _text(value).split(column.between)
    return {label for part in parts if (label := _text(part))}


def _text(value: Any) -> str:
    return "" if value is None else str(value).strip()
