"""From a channel's Parquet files to padded batches: texts tokenised once, kept compact, drawn by length."""

from __future__ import annotations

import itertools
import json
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import torch
import torch.nn.functional as F

from failure import StepError
from targets import Target, as_columns, column_names, field_names, from_json
from tokens import pad, tokenise


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


@dataclass(frozen=True)
class TokenisedTexts:
    """A labelled set as one flat array of token ids: 4 bytes a token, and in a file as long as it is large.

    Attributes:
        ids: every text's token ids one after the other, int32.
        ends: where each text ends in ``ids``, int64 of shape (texts,).
        labels: what the head is to answer: for one target of kind ``one`` the label's id, int64 of shape
            (texts,); else bool of shape (texts, columns of the head) (targets.py: ``as_columns``).
    """

    ids: np.ndarray
    ends: np.ndarray
    labels: np.ndarray

    @classmethod
    def read(
        cls, folder: Path, targets: Sequence[Target], tokenizer: Any, max_length: int, truncation: str
    ) -> TokenisedTexts:
        """Tokenise a channel, cut by the truncation policy; errors as in ``read_examples``.

        The token ids go to a file without a name, of which the system keeps in memory what there is room for.
        """
        lengths, labels = [], []
        plain = len(targets) == 1 and targets[0].kind == "one"
        with tempfile.TemporaryFile() as file:
            for examples in read_examples(folder, targets):
                tokenised = tokenise(tokenizer, examples.texts, max_length, truncation)
                lengths.append(np.fromiter(map(len, tokenised), dtype=np.int64))
                labels.append(examples.truth[0] if plain else as_columns(targets, examples.truth))
                ids = np.fromiter(itertools.chain.from_iterable(tokenised), np.int32, int(lengths[-1].sum()))
                file.write(ids.tobytes())
            file.flush()
            # asarray: a memmap's slices are slow to make
            mapped = np.asarray(np.memmap(file, np.int32, mode="r"))
        return cls(mapped, np.cumsum(np.concatenate(lengths)), np.concatenate(labels))

    def save(self, folder: Path) -> None:
        """Write the arrays for ``load``."""
        folder.mkdir()
        for name, array in vars(self).items():
            np.save(folder / f"{name}.npy", array)

    @classmethod
    def load(cls, folder: Path) -> TokenisedTexts:
        """Map what ``save`` wrote into memory; the files may be removed meanwhile."""
        return cls(
            *(np.asarray(np.load(folder / f"{field.name}.npy", mmap_mode="r")) for field in fields(cls))
        )

    def by_length(self) -> TokenisedTexts:
        """Return the same texts with the shortest first: batches drawn in order then hold little padding."""
        order = self.order
        ids = [self[index][0] for index in order]
        return TokenisedTexts(np.concatenate(ids), np.cumsum(self.lengths[order]), self.labels[order])

    @property
    def order(self) -> np.ndarray:
        """Numbers of the texts, the shortest first."""
        return np.argsort(self.lengths, kind="stable")

    @property
    def lengths(self) -> np.ndarray:
        """Tokens of each text, int64 of shape (texts,)."""
        return np.diff(self.ends, prepend=0)

    def __len__(self) -> int:
        """Return the number of texts."""
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the token ids and the labels of one text.

        Raises:
            IndexError: there is none with this number.
        """
        if not 0 <= index < len(self):
            raise IndexError(index)
        start = self.ends[index - 1] if index > 0 else 0
        return self.ids[start : self.ends[index]], self.labels[index]


Example = tuple[np.ndarray, np.ndarray]


def collator(pad_id: int, multiple: int = 1) -> Callable[[list[Example]], dict[str, torch.Tensor]]:
    """Return the function that pads a list of examples to the longest of them and adds ``labels``.

    Ids of labels are int64; several columns are float32, which is what the sigmoid's loss takes.

    Args:
        pad_id: the token that is put behind a text.
        multiple: the length is rounded up to one of this. In 16 bits a GPU computes fastest with 8.
    """

    def collate(examples: list[Example]) -> dict[str, torch.Tensor]:
        batch = pad([ids for ids, _ in examples], pad_id)
        if over := -batch["input_ids"].shape[1] % multiple:
            batch = {
                name: F.pad(tensor, (0, over), value=pad_id if name == "input_ids" else 0)
                for name, tensor in batch.items()
            }
        labels = torch.from_numpy(np.stack([label for _, label in examples]))
        return {**batch, "labels": labels.float() if labels.ndim > 1 else labels}

    return collate


class LengthGroupedSampler:
    """Draws each epoch's order at random, but so that texts of like length share a batch.

    Texts are shuffled, blocks of 50 batches are sorted by length and cut into batches, and the batches are
    shuffled: in small data a block is the whole epoch, and without that last step every epoch would go from
    the longest texts to the shortest.

    The order depends on nothing but the seed and the epoch. All ranks therefore draw the same order, and a
    training that is resumed within an epoch meets exactly the texts that it has not seen.

    Args:
        lengths: tokens of each text.
        batch_size: texts in a batch, over all ranks together.
        seed: of the order.
        epoch: called when an epoch starts, returns its number from 0.
    """

    BLOCK = 50

    def __init__(self, lengths: np.ndarray, batch_size: int, seed: int, epoch: Callable[[], int]) -> None:
        self.lengths = lengths
        self.batch_size = batch_size
        self.seed = seed
        self.epoch = epoch

    def __len__(self) -> int:
        """Return the number of texts."""
        return len(self.lengths)

    def __iter__(self) -> Iterator[int]:
        """Yield the indices of one epoch."""
        random = np.random.default_rng([self.seed, self.epoch()])
        order = random.permutation(len(self.lengths))
        block = self.batch_size * self.BLOCK
        for start in range(0, len(order), block):
            part = order[start : start + block]
            order[start : start + block] = part[np.argsort(self.lengths[part], kind="stable")]
        # The last batch may be smaller, and only there may it be: the batches are cut again by their size
        # downstream.
        full = len(order) // self.batch_size * self.batch_size
        batches = random.permutation(order[:full].reshape(-1, self.batch_size))
        yield from batches.ravel().tolist()
        yield from order[full:].tolist()
