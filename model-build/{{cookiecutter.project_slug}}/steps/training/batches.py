"""From a channel's Parquet files to padded batches: texts tokenised once, kept compact, drawn by length."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from data.examples import read_examples
from serving.targets import Target, as_columns
from serving.texts import pad, tokenise


@dataclass(frozen=True)
class TokenisedTexts:
    """A labelled set as one flat array of token ids: 4 bytes a token, and in a file as long as it is large.

    Attributes:
        ids: every text's token ids one after the other, int32.
        ends: where each text ends in ``ids``, int64 of shape (texts,).
        labels: what the head is to answer: for one target of kind ``one`` the label's id, int64 of shape
            (texts,); else bool of shape (texts, columns of the head) (serving/targets.py: ``as_columns``).
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
