"""From texts to token ids and padded batches, the same in training and in serving.

Ships in ``model.tar.gz`` beside ``inference.py``: a long text is cut in serving where it was cut in training.
A tokenizer is one of transformers, or, where serving does without that library, the ``tokenizers.Tokenizer``
inside it, read from ``tokenizer.json`` (``read_tokenizer``). Both give the same ids.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from texts import truncate

if TYPE_CHECKING:
    import torch


WINDOW_TEXTS, WINDOW_CHARACTERS = 4096, 1 << 20
"""How many texts, and of how many characters, are tokenised and sorted together in serving.

A token takes a hundred bytes and more while it is made: so the memory of a request grows with its answers and
not with its tokens. More texts would save little: in batches of 32, survey comments have 2.4 % of padding
when they are sorted 4,096 at a time, and 1.1 % when all 8,771 are.
"""


def windows(texts: Sequence[str]) -> Iterator[slice]:
    """Yield the texts in parts that are tokenised together; a longer text is one of its own."""
    start = size = 0
    for end, text in enumerate(texts):
        if end > start and (end - start == WINDOW_TEXTS or size + len(text) > WINDOW_CHARACTERS):
            yield slice(start, end)
            start, size = end, 0
        size += len(text)
    if texts:
        yield slice(start, len(texts))


def read_tokenizer(path: Path) -> Any:
    """Return the ``tokenizers.Tokenizer`` of a ``tokenizer.json``, which neither cuts nor pads by itself."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def tokenise(tokenizer: Any, texts: Sequence[str], max_length: int, truncation: str) -> list[list[int]]:
    """Return each text's token ids with the special tokens, at most ``max_length`` of them."""
    if not texts:
        return []
    before, after = _special_tokens(tokenizer)
    limit = max_length - len(before) - len(after)
    return [before + truncate(ids, limit, truncation) + after for ids in _plain(tokenizer, list(texts))]


def padded(ids: Sequence[Sequence[int] | np.ndarray], pad_id: int) -> dict[str, np.ndarray]:
    """Return ``input_ids`` and ``attention_mask``, each int64 of shape (texts, length of the longest)."""
    length = max(1, max(map(len, ids)))
    input_ids = np.full((len(ids), length), pad_id, dtype=np.int64)
    mask = np.zeros((len(ids), length), dtype=np.int64)
    for row, text in enumerate(ids):
        input_ids[row, : len(text)] = text
        mask[row, : len(text)] = 1
    return {"input_ids": input_ids, "attention_mask": mask}


def pad(ids: Sequence[Sequence[int] | np.ndarray], pad_id: int) -> dict[str, torch.Tensor]:
    """Return what ``padded`` does, as PyTorch's tensors."""
    import torch  # here, as serving may do without it

    return {name: torch.from_numpy(array) for name, array in padded(ids, pad_id).items()}


def _plain(tokenizer: Any, texts: list[str]) -> list[list[int]]:
    """Return the token ids of texts without the special tokens around them."""
    if _of_transformers(tokenizer):
        ids: list[list[int]] = tokenizer(
            texts,
            add_special_tokens=False,
            return_attention_mask=False,
            return_token_type_ids=False,
            verbose=False,
        )["input_ids"]
        return ids
    return [found.ids for found in tokenizer.encode_batch_fast(texts, add_special_tokens=False)]


def _special_tokens(tokenizer: Any) -> tuple[list[int], list[int]]:
    """Return the ids that this tokenizer puts before and after a text ([CLS] and [SEP] for BERT)."""
    if _of_transformers(tokenizer):
        probe = tokenizer("a", return_special_tokens_mask=True)
        ids, special = list(probe["input_ids"]), list(probe["special_tokens_mask"])
    else:
        found = tokenizer.encode("a")
        ids, special = found.ids, found.special_tokens_mask
    if 0 not in special:  # the tokenizer does not know "a": it has nothing but special tokens
        return ids, []
    first, last = special.index(0), len(special) - special[::-1].index(0)
    return ids[:first], ids[last:]


def _of_transformers(tokenizer: Any) -> bool:
    return callable(tokenizer)
