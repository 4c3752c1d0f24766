"""From a channel's Parquet files to padded batches: texts tokenised once, kept compact, drawn by length."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from failure import StepError
from inference import pad, tokenise


@dataclass(frozen=True)
class LabelSet:
    """``labels.json`` of a channel: class names in the order of their ids, and what the text is made of."""

    labels: list[str]
    text: dict[str, Any]

    @classmethod
    def read(cls, folder: Path) -> LabelSet:
        """Read ``labels.json``.

        Raises:
            StepError: it is missing, unreadable, or names fewer than two classes or one twice.
        """
        path = folder / "labels.json"
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            labels, text = list(content["labels"]), dict(content["text"])
        except FileNotFoundError:
            raise StepError(
                f"{path}: not found; expected the folder that preprocess.py wrote for this set"
            ) from None
        except (ValueError, KeyError, TypeError) as error:
            raise StepError(f'{path}: expected {{"labels": [...], "text": {{...}}}}, got {error!r}') from None
        if len(labels) < 2 or len(set(labels)) < len(labels):
            raise StepError(f"{path}: expected two or more different labels, got {labels[:10]}")
        return cls(labels, text)


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
    else:
        difference = f"text columns {first.text} and {second.text}"
    raise StepError(
        f"labels.json of {one} and {other} differ ({difference}): use sets of one run of preprocess.py"
    )


def read_examples(
    folder: Path, labels: Sequence[str], batch_rows: int = 8192
) -> Iterator[dict[str, list[Any]]]:
    """Yield a channel as ``{"text": [...], "label": [...], "row": [...]}``, some thousands of rows at a time.

    Raises:
        StepError: there is no Parquet file, a column is missing, a label is outside ``labels``, or there is
        no row at all.
    """
    files = sorted(folder.glob("*.parquet"))
    if not files:
        raise StepError(f"{folder}: no Parquet file; expected data.parquet as preprocess.py writes it")
    rows = 0
    for path in files:
        try:
            with pq.ParquetFile(path) as file:
                missing = {"text", "label", "row"} - set(file.schema_arrow.names)
                if missing:
                    raise StepError(
                        f"{path}: expected the columns text, label and row; missing: {sorted(missing)}"
                    )
                for batch in file.iter_batches(batch_rows, columns=["text", "label", "row"]):
                    columns = batch.to_pydict()
                    _check(columns, labels, path)
                    rows += batch.num_rows
                    yield columns
        except pa.ArrowInvalid as error:
            raise StepError(f"{path}: not a readable Parquet file: {str(error).splitlines()[0]}") from None
    if rows == 0:
        raise StepError(
            f"{folder}: the set is empty; give it rows, or a larger share in config/model.yaml: split"
        )


def _check(columns: dict[str, list[Any]], labels: Sequence[str], path: Path) -> None:
    for text, label, row in zip(columns["text"], columns["label"], columns["row"], strict=True):
        if not isinstance(text, str):
            raise StepError(f"{path}: row {row}: expected text, got {text!r}")
        if not isinstance(label, int) or not 0 <= label < len(labels):
            raise StepError(
                f"{path}: row {row}: label id {label!r} is not in labels.json, whose {len(labels)} "
                f"labels have the ids 0 to {len(labels) - 1}"
            )


@dataclass(frozen=True)
class TokenisedTexts:
    """A labelled set as one flat array of token ids: 4 bytes a token, so that a million emails fit in memory.

    Attributes:
        ids: every text's token ids one after the other, int32.
        ends: where each text ends in ``ids``, int64 of shape (texts,).
        labels: label ids, int64 of shape (texts,).
    """

    ids: np.ndarray
    ends: np.ndarray
    labels: np.ndarray

    @classmethod
    def read(
        cls, folder: Path, labels: Sequence[str], tokenizer: Any, max_length: int, truncation: str
    ) -> TokenisedTexts:
        """Tokenise a channel, cut by the truncation policy; errors as in ``read_examples``."""
        ids, lengths, label_ids = [], [], []
        for columns in read_examples(folder, labels):
            tokenised = tokenise(tokenizer, columns["text"], max_length, truncation)
            ids.append(np.fromiter((token for text in tokenised for token in text), dtype=np.int32))
            lengths.append(np.fromiter(map(len, tokenised), dtype=np.int64))
            label_ids.append(np.asarray(columns["label"], dtype=np.int64))
        return cls(np.concatenate(ids), np.cumsum(np.concatenate(lengths)), np.concatenate(label_ids))

    def by_length(self) -> TokenisedTexts:
        """Return the same texts with the shortest first: batches drawn in order then hold little padding."""
        order = np.argsort(self.lengths, kind="stable")
        ids = [self[index][0] for index in order]
        return TokenisedTexts(np.concatenate(ids), np.cumsum(self.lengths[order]), self.labels[order])

    @property
    def lengths(self) -> np.ndarray:
        """Tokens of each text, int64 of shape (texts,)."""
        return np.diff(self.ends, prepend=0)

    def __len__(self) -> int:
        """Return the number of texts."""
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[np.ndarray, int]:
        """Return the token ids and the label id of one text.

        Raises:
            IndexError: there is none with this number.
        """
        if not 0 <= index < len(self):
            raise IndexError(index)
        start = self.ends[index - 1] if index > 0 else 0
        return self.ids[start : self.ends[index]], int(self.labels[index])


def collator(pad_id: int) -> Callable[[list[tuple[np.ndarray, int]]], dict[str, torch.Tensor]]:
    """Return the function that pads a list of examples to the longest of them and adds ``labels``."""

    def collate(examples: list[tuple[np.ndarray, int]]) -> dict[str, torch.Tensor]:
        batch = pad([ids for ids, _ in examples], pad_id)
        return {**batch, "labels": torch.tensor([label for _, label in examples])}

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
