"""From texts to token ids and padded batches, the same in training and in serving.

Ships in ``model.tar.gz`` beside ``inference.py``: a long text is cut in serving where it was cut in training.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from texts import truncate


def tokenise(tokenizer: Any, texts: Sequence[str], max_length: int, truncation: str) -> list[list[int]]:
    """Return each text's token ids with the special tokens, at most ``max_length`` of them."""
    if not texts:
        return []
    before, after = _special_tokens(tokenizer)
    limit = max_length - len(before) - len(after)
    plain = tokenizer(
        list(texts),
        add_special_tokens=False,
        return_attention_mask=False,
        return_token_type_ids=False,
        verbose=False,
    )["input_ids"]
    return [before + truncate(ids, limit, truncation) + after for ids in plain]


def pad(ids: Sequence[Sequence[int] | np.ndarray], pad_id: int) -> dict[str, torch.Tensor]:
    """Return ``input_ids`` and ``attention_mask``, each of shape (texts, length of the longest)."""
    length = max(1, max(map(len, ids)))
    input_ids = np.full((len(ids), length), pad_id, dtype=np.int64)
    mask = np.zeros((len(ids), length), dtype=np.int64)
    for row, text in enumerate(ids):
        input_ids[row, : len(text)] = text
        mask[row, : len(text)] = 1
    return {"input_ids": torch.from_numpy(input_ids), "attention_mask": torch.from_numpy(mask)}


def _special_tokens(tokenizer: Any) -> tuple[list[int], list[int]]:
    """Return the ids that this tokenizer puts before and after a text ([CLS] and [SEP] for BERT)."""
    probe = tokenizer("a", return_special_tokens_mask=True)
    ids, special = list(probe["input_ids"]), list(probe["special_tokens_mask"])
    if 0 not in special:  # the tokenizer does not know "a": it has nothing but special tokens
        return ids, []
    first, last = special.index(0), len(special) - special[::-1].index(0)
    return ids[:first], ids[last:]
