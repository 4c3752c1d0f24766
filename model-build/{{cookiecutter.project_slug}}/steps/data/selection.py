"""Which rows stay, which are dropped for what, and when the data is refused."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from data.hashes import Buckets, Contradiction, resolve, without
from data.intake import SHOWN, Intake, Labels
from data.settings import Settings
from data.splits import Strata
from failure import StepError, listed, shorten
from serving.targets import Target

Array = npt.NDArray[Any]


@dataclass
class Selection:
    """The rows that stay, in buckets, with their strata; and how many rows were dropped for what."""

    kept: Buckets
    test: Buckets | None
    strata: Strata  # of `kept` and `test`, with the totals of `kept`
    index: Array  # number of an answer in the order of appearance -> stratum, -1 for one without a text
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
    counts = _counts(kept, len(labels.answers))
    targets = _targets(labels, counts)
    in_test = _counts(test_kept, len(labels.answers)) if test_kept else np.zeros_like(counts)
    warnings = _check_test(labels, in_test, counts) if test_kept else []
    strata, index = _strata(labels, targets, counts, in_test)
    selection = Selection(kept, test_kept, strata, index, dropped, test_dropped, warnings)
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
    for row, columns, text in intake.first_unlabelled:
        where = f" in {columns}" if len(labels.targets) > 1 else ""
        lines.append(f"  {intake.place(row)}: no label{where}: {shorten(text)}")
    texts = intake.texts({example.rows[0] for example in examples})
    for rows, numbers in examples:
        where = ", ".join(
            f"{intake.place(row)} {labels.show(number)}" for row, number in zip(rows, numbers, strict=True)
        )
        lines.append(f"  {where}: {shorten(texts[rows[0]])}")
    return "\n".join(lines)


def _counts(buckets: Buckets, answers: int) -> Array:
    """Return the texts of each answer."""
    counts = np.zeros(answers, np.int64)
    for records in buckets:
        counts += np.bincount(records["label"], minlength=answers)
    return counts


def _found(labels: Labels, counts: Array) -> list[list[str]]:
    """Return each target's labels that occur, sorted, given the texts of each answer."""
    found: list[set[str]] = [set() for _ in labels.targets]
    for number in np.flatnonzero(counts):
        for names, positions, held in zip(labels.names, labels.answers[number], found, strict=True):
            held.update(names[position] for position in positions)
    return [sorted(held) for held in found]


def _targets(labels: Labels, counts: Array) -> tuple[Target, ...]:
    """Return the targets with the labels that occur; refuse one with too few."""
    found = _found(labels, counts)
    for target, names in zip(labels.targets, found, strict=True):
        if len(names) < (2 if target.kind == "one" else 1):
            what = "at least two classes" if target.kind == "one" else "labels"
            shown = listed([*map(repr, names)]) or ("no label" if counts.any() else "no usable row")
            raise StepError(f"{target.key}: expected {what} in {target.column!r}, found {shown}")
    return tuple(
        Target(target.name, target.kind, tuple(names))
        for target, names in zip(labels.targets, found, strict=True)
    )


def _strata(
    labels: Labels, targets: tuple[Target, ...], counts: Array, in_test: Array
) -> tuple[Strata, Array]:
    """Return the strata in an order that the order of the rows does not change, and each answer's stratum."""
    ids = [
        {names.index(label): number for number, label in enumerate(target.labels)}
        for target, names in zip(targets, labels.names, strict=True)
    ]
    answers = {
        int(number): tuple(
            tuple(sorted(known[position] for position in positions))
            for known, positions in zip(ids, labels.answers[number], strict=True)
        )
        for number in np.flatnonzero(counts + in_test)
    }
    order = sorted(answers, key=answers.__getitem__)
    index = np.full(len(labels.answers), -1)
    index[order] = np.arange(len(order))
    return Strata.of(targets, [answers[number] for number in order], counts[order]), index


def _check_test(labels: Labels, in_test: Array, in_data: Array) -> list[str]:
    """Refuse a test set with labels that the data has not; return warnings of those it lacks."""
    if not in_test.any():
        raise StepError("data.test_source: expected texts with a label, found none")
    warnings = []
    for target, test, data in zip(
        labels.targets, _found(labels, in_test), _found(labels, in_data), strict=True
    ):
        of = f" of {target.name}" if len(labels.targets) > 1 else ""
        if unknown := sorted(set(test) - set(data)):
            shown = listed([*map(repr, unknown)])
            raise StepError(f"data.test_source: expected labels{of} of the data, found also {shown}")
        if absent := sorted(set(data) - set(test)):
            warnings.append(f"test has no text of {listed([*map(repr, absent)])}{of}")
    return warnings
