"""Which rows stay, which are dropped for what, and when the data is refused."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from duplicates import Buckets, Contradiction, resolve, without
from failure import StepError
from intake import SHOWN, Intake, Labels
from preprocess_settings import Settings
from wording import listed, shorten

Array = npt.NDArray[Any]


@dataclass
class Selection:
    """The rows that stay, in buckets, with their classes; and how many rows were dropped for what."""

    kept: Buckets
    test: Buckets | None
    labels: list[str]  # sorted
    index: Array  # number in the order of appearance -> position in `labels`, -1 for a label without a text
    totals: Array  # texts of each of `labels` in `kept`
    dropped: dict[str, int]
    test_dropped: dict[str, int]
    warnings: list[str] = field(default_factory=list)
    groups: int = 0


def select(data: Intake, test: Intake | None, labels: Labels, settings: Settings, scratch: Path) -> Selection:
    """Decide which rows stay.

    Raises:
        StepError: too many labels are missing or contradictory, there are fewer than two classes, or the test
            set has a class that the data has not.
    """
    test_kept, test_dropped = (
        _keep(test, None, labels, settings, scratch / "test-kept") if test else (None, {})
    )
    kept, dropped = _keep(data, test_kept, labels, settings, scratch / "kept")
    counts = _label_counts(kept, len(labels.names))
    if np.count_nonzero(counts) < 2:
        found = listed([f"{labels.names[number]!r}" for number in np.flatnonzero(counts)]) or "no usable row"
        raise StepError(
            f"data.label_column: expected at least two classes in {settings.columns.label!r}, found {found}"
        )
    names = sorted(labels.names[number] for number in np.flatnonzero(counts))
    position = {name: index for index, name in enumerate(names)}
    index = np.array([position.get(name, -1) for name in labels.names])
    selection = Selection(
        kept, test_kept, names, index, np.zeros(len(names), np.int64), dropped, test_dropped
    )
    selection.totals[index[counts > 0]] = counts[counts > 0]
    if test_kept:
        _check_test_labels(_label_counts(test_kept, len(labels.names)), counts, labels, selection)
    for file, rows in [*data.files, *(test.files if test else [])]:
        if not rows:
            selection.warnings.append(f"{file.name}: no rows")
    return selection


def _keep(
    intake: Intake, other: Buckets | None, labels: Labels, settings: Settings, folder: Path
) -> tuple[Buckets, dict[str, int]]:
    """Drop duplicates, contradictions and the texts of another input; return what stays, and the counts."""
    kept = Buckets(folder)
    dropped = {
        "empty_text": intake.empty,
        "missing_label": intake.unlabelled,
        "contradictory_label": 0,
        "duplicate": 0,
    }
    examples: list[Contradiction] = []
    others = None if other is None else iter(other)
    if others is not None:
        dropped["also_in_test"] = 0
    for records in intake.buckets:
        bucket = resolve(records, SHOWN)
        dropped["contradictory_label"] += bucket.contradictory
        dropped["duplicate"] += bucket.duplicates
        examples = sorted([*examples, *bucket.examples])[:SHOWN]
        rest = bucket.kept if others is None else without(bucket.kept, next(others))
        if others is not None:
            dropped["also_in_test"] += len(bucket.kept) - len(rest)
        kept.append(rest)
    bad = dropped["missing_label"] + dropped["contradictory_label"]
    if bad > settings.max_bad_label_share * intake.rows:
        raise StepError(_bad_labels(intake, dropped, examples, labels, settings))
    return kept, dropped


def _bad_labels(
    intake: Intake, dropped: dict[str, int], examples: list[Contradiction], labels: Labels, settings: Settings
) -> str:
    missing, contradictory = dropped["missing_label"], dropped["contradictory_label"]
    share = (missing + contradictory) / intake.rows
    lines = [
        f"data.max_bad_label_share: expected at most {settings.max_bad_label_share:.2%} of {intake.rows:,} "
        f"rows without a label or with a contradictory one, found {share:.2%}: "
        f"{missing:,} without a label, {contradictory:,} whose text has different labels; "
        "correct them, or raise the share in config/model.yaml"
    ]
    lines += [f"  {intake.place(row)}: no label: {shorten(text)}" for row, text in intake.first_unlabelled]
    texts = intake.texts({example.rows[0] for example in examples})
    for rows, numbers in examples:
        where = ", ".join(
            f"{intake.place(row)} {labels.names[number]!r}" for row, number in zip(rows, numbers, strict=True)
        )
        lines.append(f"  {where}: {shorten(texts[rows[0]])}")
    return "\n".join(lines)


def _label_counts(buckets: Buckets, labels: int) -> Array:
    counts = np.zeros(labels, np.int64)
    for records in buckets:
        counts += np.bincount(records["label"], minlength=labels)
    return counts


def _check_test_labels(in_test: Array, in_data: Array, labels: Labels, selection: Selection) -> None:
    unknown = sorted(labels.names[number] for number in np.flatnonzero((in_test > 0) & (in_data == 0)))
    if unknown:
        raise StepError(
            f"data.test_source: expected labels of the data, found also {listed([*map(repr, unknown)])}"
        )
    if not in_test.any():
        raise StepError("data.test_source: expected texts with a label, found none")
    absent = sorted(labels.names[number] for number in np.flatnonzero((in_test == 0) & (in_data > 0)))
    if absent:
        selection.warnings.append(f"test has no text of {listed([*map(repr, absent)])}")
