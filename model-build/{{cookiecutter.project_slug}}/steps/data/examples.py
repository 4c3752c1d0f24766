"""The sets that preprocess.py has written, read again: texts, the truth of each target, and the labels."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from failure import StepError
from serving.targets import Target, column_names, field_names, from_json


@dataclass(frozen=True)
class LabelSet:
    """``labels.json`` of a channel: the targets with their labels, and what was done to the texts."""

    targets: tuple[Target, ...]
    text: dict[str, Any]
    redact: dict[str, Any] | None = None

    @classmethod
    def read(cls, folder: Path) -> LabelSet:
        """Read ``labels.json``.

        Raises:
            StepError: it is missing, unreadable, or names too few labels or one twice.
        """
        path = folder / "labels.json"
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            targets, text = content["targets"], dict(content["text"])
            redact = content.get("redact")
        except FileNotFoundError:
            raise StepError(
                f"{path}: not found; expected the folder that preprocess.py wrote for this set"
            ) from None
        except (ValueError, KeyError, TypeError) as error:
            raise StepError(
                f'{path}: expected {{"targets": [...], "text": {{...}}}}, got {error!r}'
            ) from None
        try:
            return cls(from_json(targets), text, redact)
        except (KeyError, TypeError) as error:
            raise StepError(
                f"{path}: targets: expected name, kind and labels of each, got {error!r}"
            ) from None
        except ValueError as error:
            raise StepError(f"{path}: {error}") from None

    @property
    def labels(self) -> list[str]:
        """Names of the head's columns, in their order."""
        return column_names(self.targets)


def same_labels(one: Path, other: Path) -> LabelSet:
    """Read ``labels.json`` of two folders, which must say the same.

    Raises:
        StepError: they differ; the message names the labels that only one of them has.
    """
    first, second = LabelSet.read(one), LabelSet.read(other)
    if first == second:
        return first
    only_first, only_second = set(first.labels) - set(second.labels), set(second.labels) - set(first.labels)
    if only_first or only_second:
        difference = f"only {one} has {sorted(only_first)[:10]}, only {other} has {sorted(only_second)[:10]}"
    elif first.labels != second.labels:
        difference = "the order of the labels"
    elif first.targets != second.targets:
        difference = "names or kinds of the targets"
    elif first.text != second.text:
        difference = f"text columns {first.text} and {second.text}"
    else:
        difference = f"redacted: {first.redact} and {second.redact}"
    raise StepError(
        f"labels.json of {one} and {other} differ ({difference}): use sets of one run of preprocess.py"
    )


@dataclass(frozen=True)
class Examples:
    """Some rows of a set.

    Attributes:
        texts: of the rows.
        truth: for each target its labels: ids, int64 of shape (rows,), for kind ``one``; bool of shape
            (rows, labels) for kind ``several``.
        rows: numbers of the rows in the input data, int64 of shape (rows,).
    """

    texts: list[str]
    truth: list[np.ndarray]
    rows: np.ndarray


def read_examples(folder: Path, targets: Sequence[Target], batch_rows: int = 8192) -> Iterator[Examples]:
    """Yield a channel, some thousands of rows at a time.

    Its Parquet file has the columns ``text``, ``row`` and for each target its label ids: ``label`` for one
    target, ``NAME.label`` for each of several; int32 for kind ``one``, a list of int32 for kind ``several``.

    Raises:
        StepError: there is no Parquet file, a column is missing, a label is none of the target's, or there is
        no row at all.
    """
    files = sorted(folder.glob("*.parquet"))
    if not files:
        raise StepError(f"{folder}: no Parquet file; expected data.parquet as preprocess.py writes it")
    fields = field_names(targets, "label")
    rows = 0
    for path in files:
        try:
            with pq.ParquetFile(path) as file:
                found = file.schema_arrow.names
                missing = [name for name in ("text", *fields, "row") if name not in found]
                if missing:
                    raise StepError(
                        f"{path}: expected the columns text, {', '.join(fields)} and row; missing: {missing}"
                    )
                for batch in file.iter_batches(batch_rows, columns=["text", *fields, "row"]):
                    rows += batch.num_rows
                    yield _examples(batch, targets, fields, path)
        except pa.ArrowInvalid as error:
            raise StepError(f"{path}: not a readable Parquet file: {str(error).splitlines()[0]}") from None
    if rows == 0:
        raise StepError(
            f"{folder}: the set is empty; give it rows, or a larger share in config/model.yaml: split"
        )


def read_all(folder: Path, targets: Sequence[Target]) -> Examples:
    """Return a whole channel; errors as in ``read_examples``."""
    parts = list(read_examples(folder, targets))
    return Examples(
        [text for part in parts for text in part.texts],
        [np.concatenate([part.truth[index] for part in parts]) for index in range(len(targets))],
        np.concatenate([part.rows for part in parts]),
    )


def _examples(
    batch: pa.RecordBatch, targets: Sequence[Target], fields: Sequence[str], path: Path
) -> Examples:
    rows = batch.column("row").to_numpy(zero_copy_only=False)
    texts = batch.column("text").to_pylist()
    for text, row in zip(texts, rows, strict=True):
        if not isinstance(text, str):
            raise StepError(f"{path}: row {row}: expected text, got {text!r}")
    truth = [
        _truth(
            batch.column(field),
            target,
            rows,
            f"{path}: row {{row}}: {'' if field == 'label' else field + ': '}",
        )
        for field, target in zip(fields, targets, strict=True)
    ]
    return Examples(texts, truth, rows)


def _truth(column: pa.Array, target: Target, rows: np.ndarray, where: str) -> np.ndarray:
    """Return a target's part of ``Examples.truth``; ``where`` begins a message, with ``{row}`` in it."""
    several = target.kind == "several"
    expected = "a list of ids" if several else "an id"
    is_list = pa.types.is_list(column.type)
    if is_list != several or not pa.types.is_integer(column.type.value_type if is_list else column.type):
        raise StepError(f"{where.format(row=rows[0])}expected {expected} in labels.json, got {column.type}")
    of_row = pc.list_parent_indices(column).to_numpy() if several else np.arange(len(rows))
    ids = column.flatten() if several else column
    values: np.ndarray = pc.fill_null(ids, -1).to_numpy(zero_copy_only=False).astype(np.int64)
    bad = np.flatnonzero((values < 0) | (values >= len(target.labels)))
    if len(bad):
        raise StepError(
            f"{where.format(row=rows[of_row[bad[0]]])}label id {ids[int(bad[0])].as_py()!r} is not in "
            f"labels.json, whose {len(target.labels)} labels have the ids 0 to {len(target.labels) - 1}"
        )
    if not several:
        return values
    truth = np.zeros((len(rows), len(target.labels)), bool)
    truth[of_row, values] = True
    return truth
