"""Turn labelled data files into the sets train, validation and test.

Run by a SageMaker processing job, or by hand::

    python steps/preprocess.py --input data --output out --text-column subject --text-column body --label-column service_line

It reads every data file below ``--input`` (readers.py), joins and cleans the texts (texts.py), drops what cannot be used,
divides the rest, and writes below ``--output``::

    train/, validation/, test/     data.parquet (text: string, label: int32, row: int64) and labels.json
    report/                        labels.json and data_report.json

``row`` is the number of the row in the input, counted from 1 over the files in the order of their names, without headers.
``label`` is the position in the sorted list of labels in labels.json.

The rules:

- A row without text is dropped. So is a row without label, and all rows of a text that occurs with different labels; when these
  are more than ``--max-bad-label-share`` of all rows, the step refuses the data and shows the first of them.
- Of rows with the same text and label the first is kept. No text is in two sets.
- There are at least two classes. Each class has a text for every set (3, or 2 with a test set of your own), or with groups as
  many groups; rarer classes are refused by name: they could be trained or measured, not both.
- Classes are divided in the proportion of the fractions. With ``--group-column`` no group is in two sets, and the classes are
  divided as well as whole groups can be; a row without a group is a group by itself.
- With ``--test-input`` that is the test set, and only train and validation are drawn, in the proportion of their fractions.
  Its texts are dropped from train and validation. Its labels must occur in the data.
- The same data, settings and seed give the same sets, whatever the names of the files and the order of the rows.

Memory does not grow with the number of rows (with groups, by some tens of bytes for each group); the disk holds the rows once
more while the step runs, below ``--output``.
"""

from __future__ import annotations

import argparse
import json
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from duplicates import Buckets, Contradiction, resolve, without
from failure import StepError, run
from intake import SCHEMA, SHOWN, Columns, Intake, Labels
from readers import DataFile, content_hash, find_files
from splits import SETS, TEST, TRAIN, Deal, Groups, allocate, assign_groups
from texts import SEPARATORS
from textstats import TextStatistics
from wording import listed, shorten

Array = npt.NDArray[Any]

INPUT = Path("/opt/ml/processing/input/data")
OUTPUT = Path("/opt/ml/processing/output")
WRITE_ROWS, WRITE_BYTES = 65_536, 8 << 20  # a row group of Parquet is written when either is reached


@dataclass(frozen=True)
class Settings:
    """The command line, checked."""

    input: Path
    test_input: Path | None
    output: Path
    format: str
    columns: Columns
    fractions: tuple[float, float, float]  # of SETS, their sum is 1
    seed: int
    max_bad_label_share: float


def main(arguments: Sequence[str] | None = None) -> None:
    """Do what the module says."""
    settings = parse_arguments(arguments)
    signal.signal(signal.SIGTERM, _stop)  # so that the scratch folder is removed
    files = find_files(settings.input, settings.format)
    test_files = find_files(settings.test_input, settings.format) if settings.test_input else []
    settings.output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".preprocess-", dir=settings.output) as folder:
        scratch = Path(folder)
        labels = Labels()
        test = take_in(test_files, settings, labels, scratch / "test") if test_files else None
        data = take_in(files, settings, labels, scratch / "data")
        selection = select(data, test, labels, settings, scratch)
        sets = draw(data, selection, settings, scratch)
        statistics = write_sets(data, test, selection, sets, scratch)
        report = data_report(data, test, selection, statistics, settings)
        publish(scratch, selection.labels, settings.columns, report, settings.output)
    summarise(report)


def _stop(*_: object) -> NoReturn:
    sys.exit(128 + signal.SIGTERM)


def say(line: str) -> None:
    """Print a line of progress at once."""
    print(f"preprocess: {line}", flush=True)


# ---------------------------------------------------------------------------------------------------------------- settings


def parse_arguments(arguments: Sequence[str] | None) -> Settings:
    """Return the settings.

    Raises:
        StepError: a fraction, the share or the columns cannot be meant.
    """
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--input", type=Path, default=INPUT, help="folder with the data files, or one file")
    parser.add_argument("--test-input", type=Path, help="a ready-made test set: folder or file")
    parser.add_argument("--output", type=Path, default=OUTPUT, help="folder for the sets and the report")
    parser.add_argument("--format", choices=("auto", "csv", "jsonl", "parquet"), default="auto", help="auto: by the files' names")
    parser.add_argument("--encoding", default="utf-8", help="of CSV and JSON Lines, as Python names it")
    parser.add_argument("--text-column", action="append", required=True, help="may be given several times, in order", default=argparse.SUPPRESS)
    parser.add_argument("--join", choices=sorted(SEPARATORS), default="blank_line", help="what stands between text columns")
    parser.add_argument("--label-column", required=True, default=argparse.SUPPRESS, help="column with the class")
    parser.add_argument("--group-column", help="rows with the same value stay in one set")
    parser.add_argument("--train-fraction", type=float, default=0.7, help="share of the texts")
    parser.add_argument("--validation-fraction", type=float, default=0.15, help="share of the texts")
    parser.add_argument("--test-fraction", type=float, default=0.15, help="share of the texts; not used with --test-input")
    parser.add_argument("--seed", type=int, default=13, help="of the random division")
    parser.add_argument("--max-bad-label-share", type=float, default=0.01, help="share of rows that may lack a label or contradict another")
    given = parser.parse_args(arguments)
    if not 0 <= given.max_bad_label_share <= 1:
        raise StepError(f"data.max_bad_label_share: expected a number from 0 to 1, got {given.max_bad_label_share:g}")
    return Settings(
        input=given.input,
        test_input=given.test_input,
        output=given.output,
        format=given.format,
        columns=_columns(given),
        fractions=_fractions(given.train_fraction, given.validation_fraction, given.test_fraction, given.test_input is not None),
        seed=given.seed,
        max_bad_label_share=given.max_bad_label_share,
    )


def _columns(given: argparse.Namespace) -> Columns:
    used = [*given.text_column, given.label_column]
    if len(set(used)) < len(used):
        raise StepError(f"data.text_columns, data.label_column: expected different columns, got {listed(used)}")
    if given.group_column in given.text_column:
        raise StepError(f"data.group_column: expected another column than a text column, got {given.group_column!r}")
    return Columns(tuple(given.text_column), given.join, given.label_column, given.group_column, given.encoding)


def _fractions(train: float, validation: float, test: float, own_test: bool) -> tuple[float, float, float]:
    if own_test:
        test = 0.0
    elif abs(train + validation + test - 1) > 1e-6:
        raise StepError(f"split: expected fractions whose sum is 1, got {train:g} + {validation:g} + {test:g}")
    if min(train, validation) <= 0 or (test <= 0 and not own_test):
        raise StepError(f"split: expected fractions above 0, got train {train:g}, validation {validation:g}, test {test:g}")
    whole = train + validation + test
    return train / whole, validation / whole, test / whole


# --------------------------------------------------------------------------------------------------------------- selection


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


def take_in(files: list[DataFile], settings: Settings, labels: Labels, folder: Path) -> Intake:
    """Read the files of one input.

    Raises:
        StepError: a file cannot be read as declared, or there is no row at all.
    """
    intake = Intake(folder)
    intake.take_in(files, settings.columns, labels, settings.seed, say)
    if not intake.rows:
        raise StepError(f"{listed([file.name for file in files])}: expected rows of data, found none in {len(files):,} files")
    return intake


def select(data: Intake, test: Intake | None, labels: Labels, settings: Settings, scratch: Path) -> Selection:
    """Decide which rows stay.

    Raises:
        StepError: too many labels are missing or contradictory, there are fewer than two classes, or the test set has a class
            that the data has not.
    """
    test_kept, test_dropped = _keep(test, None, labels, settings, scratch / "test-kept") if test else (None, {})
    kept, dropped = _keep(data, test_kept, labels, settings, scratch / "kept")
    counts = _label_counts(kept, len(labels.names))
    if np.count_nonzero(counts) < 2:
        found = listed([f"{labels.names[number]!r}" for number in np.flatnonzero(counts)]) or "no usable row"
        raise StepError(f"data.label_column: expected at least two classes in {settings.columns.label!r}, found {found}")
    names = sorted(labels.names[number] for number in np.flatnonzero(counts))
    position = {name: index for index, name in enumerate(names)}
    index = np.array([position.get(name, -1) for name in labels.names])
    selection = Selection(kept, test_kept, names, index, np.zeros(len(names), np.int64), dropped, test_dropped)
    selection.totals[index[counts > 0]] = counts[counts > 0]
    if test_kept:
        _check_test_labels(_label_counts(test_kept, len(labels.names)), counts, labels, selection)
    for file, rows in [*data.files, *(test.files if test else [])]:
        if not rows:
            selection.warnings.append(f"{file.name}: no rows")
    return selection


def _keep(intake: Intake, other: Buckets | None, labels: Labels, settings: Settings, folder: Path) -> tuple[Buckets, dict[str, int]]:
    """Drop duplicates, contradictions and the texts of another input; return the rest in buckets and the counts."""
    kept = Buckets(folder)
    dropped = {"empty_text": intake.empty, "missing_label": intake.unlabelled, "contradictory_label": 0, "duplicate": 0}
    examples: list[Contradiction] = []
    others: Iterator[Array] | None = iter(other) if other else None
    dropped |= {"also_in_test": 0} if others else {}
    for records in intake.buckets:
        bucket = resolve(records, SHOWN)
        dropped["contradictory_label"] += bucket.contradictory
        dropped["duplicate"] += bucket.duplicates
        examples = sorted([*examples, *bucket.examples])[:SHOWN]
        rest = without(bucket.kept, next(others)) if others else bucket.kept
        if others:
            dropped["also_in_test"] += len(bucket.kept) - len(rest)
        kept.append(rest)
    bad = dropped["missing_label"] + dropped["contradictory_label"]
    if bad > settings.max_bad_label_share * intake.rows:
        raise StepError(_bad_labels(intake, dropped, examples, labels, settings))
    return kept, dropped


def _bad_labels(intake: Intake, dropped: dict[str, int], examples: list[Contradiction], labels: Labels, settings: Settings) -> str:
    missing, contradictory = dropped["missing_label"], dropped["contradictory_label"]
    lines = [
        f"data.max_bad_label_share: expected at most {settings.max_bad_label_share:.2%} of {intake.rows:,} rows without a label or "
        f"with a contradictory one, found {(missing + contradictory) / intake.rows:.2%}: {missing:,} without a label, "
        f"{contradictory:,} whose text has different labels; correct them or raise the share in config/model.yaml"
    ]
    lines += [f"  {intake.place(row)}: no label: {shorten(text)}" for row, text in intake.first_unlabelled]
    texts = intake.texts({example.rows[0] for example in examples})
    for rows, numbers in examples:
        where = ", ".join(f"{intake.place(row)} {labels.names[number]!r}" for row, number in zip(rows, numbers, strict=True))
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
        raise StepError(f"data.test_source: expected labels that occur in the data, found also {listed([*map(repr, unknown)])}")
    if not in_test.any():
        raise StepError("data.test_source: expected texts with a label, found none")
    absent = sorted(labels.names[number] for number in np.flatnonzero((in_test == 0) & (in_data > 0)))
    if absent:
        selection.warnings.append(f"test has no text of {listed([*map(repr, absent)])}")


# -------------------------------------------------------------------------------------------------------------------- sets


def draw(data: Intake, selection: Selection, settings: Settings, scratch: Path) -> Array:
    """Return the set of each row as an array on disk: 0 for dropped, else 1 more than the index of ``SETS``; row 0 is none.

    Raises:
        StepError: a class is too rare to be in every set.
    """
    sets = np.memmap(scratch / "sets", np.uint8, "w+", shape=(data.rows + 1,))
    fractions = settings.fractions
    drawn = sum(fraction > 0 for fraction in fractions)
    _check_rare(selection.totals, "texts", drawn, selection.labels)
    table = allocate(selection.totals, fractions)
    if settings.columns.group is None:
        deal = Deal(table)
        for records in selection.kept:
            sets[records["row"]] = deal.sets_of(selection.index[records["label"]]) + 1
        return sets
    groups = Groups.gather((records["group"], selection.index[records["label"]]) for records in selection.kept)
    _check_rare(np.bincount(groups.label, minlength=len(selection.labels)), f"groups by {settings.columns.group!r}", drawn, selection.labels)
    assigned = assign_groups(groups, table)
    counts = np.zeros_like(table)
    for records in selection.kept:
        chosen = assigned[np.searchsorted(groups.names, records["group"])]
        sets[records["row"]] = chosen + 1
        np.add.at(counts, (selection.index[records["label"]], chosen), 1)
    selection.groups = len(groups.names)
    _check_groups(counts, table, settings.columns.group, selection)
    return sets


def _check_rare(counts: Array, what: str, drawn: int, labels: list[str]) -> None:
    rare = [f"{labels[index]!r} ({counts[index]})" for index in np.flatnonzero(counts < drawn)]
    if rare:
        raise StepError(
            f"expected at least {drawn} {what} of each class, one for each set that is drawn, found fewer of {listed(rare)}; add "
            "texts, merge the class with another, or remove its rows"
        )


def _check_groups(counts: Array, table: Array, column: str, selection: Selection) -> None:
    """Refuse sets that whole groups cannot fill, and warn of those they fill badly."""
    absent = {index: [selection.labels[row] for row in np.flatnonzero((counts[:, index] == 0) & (table[:, index] > 0))] for index in range(3)}
    if absent[TRAIN] or (counts.sum(axis=0) == 0)[table.any(axis=0)].any():
        raise StepError(
            f"data.group_column: expected groups by {column!r} small enough that every class is in train and no set is empty, "
            f"found the sets {dict(zip(SETS, counts.sum(axis=0).tolist(), strict=True))}"
            + (f" and no text in train of {listed(absent[TRAIN])}" if absent[TRAIN] else "")
        )
    for index, name in enumerate(SETS):
        if absent[index]:
            selection.warnings.append(f"{name} has no text of {listed([*map(repr, absent[index])])}: its groups are too few or too large")
        have, want = int(counts[:, index].sum()), int(table[:, index].sum())
        if abs(have - want) > 0.2 * want:
            selection.warnings.append(f"{name} has {have:,} texts instead of {want:,}: the groups by {column!r} are too large")


def write_sets(data: Intake, test: Intake | None, selection: Selection, sets: Array, scratch: Path) -> list[tuple[TextStatistics, Array]]:
    """Write a Parquet file for each set into the scratch folder; return its statistics and its texts of each class."""
    writers = [SetWriter(scratch / f"{name}.parquet", selection.index, len(selection.labels)) for name in SETS]
    for batch in data.batches():
        chosen = sets[batch.column("row").to_numpy()]
        for index, writer in enumerate(writers):
            writer.add(batch.filter(pa.array(chosen == index + 1)))
    if test and selection.test:
        stays = np.memmap(scratch / "test-sets", np.uint8, "w+", shape=(test.rows + 1,))
        for records in selection.test:
            stays[records["row"]] = 1
        for batch in test.batches():
            writers[TEST].add(batch.filter(pa.array(stays[batch.column("row").to_numpy()] == 1)))
    return [writer.close() for writer in writers]


class SetWriter:
    """Writes one set as Parquet, in row groups of a good size, and gathers its statistics."""

    def __init__(self, path: Path, index: Array, labels: int) -> None:
        """Write labels as ``index`` maps them."""
        # Nearly every text is different, so a dictionary would only cost time.
        self._writer = pq.ParquetWriter(path, SCHEMA, use_dictionary=["label"], write_statistics=["label", "row"])
        self._index = index
        self._waiting: list[pa.RecordBatch] = []
        self._rows = self._bytes = 0
        self._counts = np.zeros(labels, np.int64)
        self._statistics = TextStatistics()

    def add(self, batch: pa.RecordBatch) -> None:
        """Add rows of ``SCHEMA``."""
        labels = self._index[batch.column("label").to_numpy()]
        self._counts += np.bincount(labels, minlength=len(self._counts))
        self._statistics.add(batch.column("text"))
        self._waiting.append(pa.record_batch([batch.column("text"), pa.array(labels, pa.int32()), batch.column("row")], schema=SCHEMA))
        self._rows += len(batch)
        self._bytes += batch.nbytes
        if self._rows >= WRITE_ROWS or self._bytes >= WRITE_BYTES:
            self._flush()

    def close(self) -> tuple[TextStatistics, Array]:
        """Write what is waiting; return the statistics of the texts and the number of texts of each class."""
        self._flush()
        self._writer.close()
        return self._statistics, self._counts

    def _flush(self) -> None:
        self._writer.write_table(pa.Table.from_batches(self._waiting, SCHEMA))
        self._waiting, self._rows, self._bytes = [], 0, 0


# ------------------------------------------------------------------------------------------------------------------ report


def data_report(
    data: Intake, test: Intake | None, selection: Selection, statistics: list[tuple[TextStatistics, Array]], settings: Settings
) -> dict[str, Any]:
    """Return the content of data_report.json. It holds no text of the data."""
    counts = np.stack([counts for _, counts in statistics], axis=1)
    return {
        "input": _input(data, selection.dropped),
        "test_input": _input(test, selection.test_dropped) if test else None,
        "sets": {name: statistics.summary() for name, (statistics, _) in zip(SETS, statistics, strict=True)},
        "labels": {
            label: {**dict(zip(SETS, row, strict=True)), "total": sum(row)}
            for label, row in zip(selection.labels, counts.tolist(), strict=True)
        },
        "groups": {"groups": selection.groups, "rows_without_group": data.groupless} if settings.columns.group else None,
        "warnings": selection.warnings,
        "settings": {
            "format": settings.format,
            "columns": settings.columns._asdict(),
            "fractions": dict(zip(SETS, settings.fractions, strict=True)),
            "seed": settings.seed,
            "max_bad_label_share": settings.max_bad_label_share,
        },
    }


def _input(intake: Intake, dropped: dict[str, int]) -> dict[str, Any]:
    return {
        "content_sha256": content_hash([file for file, _ in intake.files]),
        "rows": intake.rows,
        "dropped": dropped,
        "files": [
            {"name": file.name, "format": file.format, "bytes": file.path.stat().st_size, "rows": rows} for file, rows in intake.files
        ],
    }


def publish(scratch: Path, labels: list[str], columns: Columns, report: dict[str, Any], output: Path) -> None:
    """Move the finished sets to their places, with labels.json beside each, and write the report."""
    content = {"labels": labels, "text": {"columns": list(columns.text), "join": columns.join}}
    for name in (*SETS, "report"):
        (output / name).mkdir(exist_ok=True)
        _write_json(output / name / "labels.json", content)
    for name in SETS:
        shutil.move(scratch / f"{name}.parquet", output / name / "data.parquet")
    _write_json(output / "report" / "data_report.json", report)


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")


def summarise(report: dict[str, Any]) -> None:
    """Print what was read, dropped and written."""
    for key, name in (("input", "data"), ("test_input", "test set")):
        if part := report[key]:
            dropped = ", ".join(f"{count:,} {reason.replace('_', ' ')}" for reason, count in part["dropped"].items() if count)
            say(f"{name}: {part['rows']:,} rows in {len(part['files']):,} files; dropped: {dropped or 'none'}")
    sizes = ", ".join(f"{name} {report['sets'][name]['texts']:,}" for name in SETS)
    say(f"{len(report['labels']):,} classes; texts: {sizes}")
    for warning in report["warnings"]:
        say(f"warning: {warning}")


if __name__ == "__main__":
    sys.exit(run(main))
