"""What training, evaluation and serving must do to a text in exactly the same way, up to padded token ids.

Join several columns, clean the result, tokenise, and cut a long text's token ids. Nothing here knows a
language: letters, case, accents and punctuation are left as they are.

A tokenizer is one of transformers, or, where serving does without that library, the ``tokenizers.Tokenizer``
inside it, read from ``tokenizer.json`` (``read_tokenizer``). Both give the same ids.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import torch

SEPARATORS = {"newline": "\n", "blank_line": "\n\n", "space": " "}
"""How the columns of one text may be joined."""

POLICIES = ("head", "tail", "head_tail")
"""Which part of a text that is too long is kept."""

# Every character that `str.isspace` knows (Unicode 16), and two that mail programs leave at the ends of a
# text although they are invisible: the zero-width space and the byte order mark. Spelled out, so that Arrow's
# trimming in preprocess.py and Python's at serving time cut the same characters whatever their versions of
# Unicode.
WHITESPACE = (
    "\t\n\x0b\x0c\r\x1c\x1d\x1e\x1f \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006"
    "\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000"
    "\u200b\ufeff"
)

WINDOW_TEXTS, WINDOW_CHARACTERS = 4096, 1 << 20
"""How many texts, and of how many characters, are tokenised and sorted together in serving.

A token takes a hundred bytes and more while it is made: so the memory of a request grows with its answers and
not with its tokens. More texts would save little: in batches of 32, survey comments have 2.4 % of padding
when they are sorted 4,096 at a time, and 1.1 % when all 8,771 are.
"""


def clean(text: str | None) -> str:
    r"""Return the text without NUL characters and outer whitespace, with ``\n`` as its only line ending.

    ``None`` becomes the empty string. Half of a surrogate pair, as in the JSON ``"\ud83d"`` of an emoji cut
    in two, becomes U+FFFD, because no tokenizer takes it. ``clean(clean(x)) == clean(x)``.
    """
    if not text:
        return ""
    if not text.isascii():
        text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    if "\0" in text:
        text = text.replace("\0", "")
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    return text.strip(WHITESPACE)


def join_columns(parts: Sequence[str | None], join: str) -> str:
    """Join the columns of one record (subject and body, for example) into the text that the model reads.

    Args:
        parts: the values in the declared order of the columns; each is cleaned, and an empty one leaves no
            separator.
        join: a key of ``SEPARATORS``.

    Raises:
        ValueError: the join is not one of ``SEPARATORS``.
    """
    try:
        separator = SEPARATORS[join]
    except KeyError:
        raise ValueError(f"join: expected one of {', '.join(SEPARATORS)}, got {join!r}") from None
    return separator.join(filter(None, map(clean, parts)))


def truncate(ids: list[int], limit: int, policy: str) -> list[int]:
    """Return at most ``limit`` of one text's token ids, in their order; the same list when short enough.

    Args:
        ids: token ids without special tokens.
        limit: how many to keep: ``max_length`` less the number of special tokens
            (``tokenizer.num_special_tokens_to_add()``).
        policy: ``head`` keeps the beginning, ``tail`` the end, ``head_tail`` a quarter of the limit from the
            beginning and the rest from the end: 128 and 382 of 510, the best of the three on long texts in
            Sun et al., "How to Fine-Tune BERT for Text Classification?" (2019), section 5.3.1.

    Raises:
        ValueError: the limit is below 1, or the policy is not one of ``POLICIES``.
    """
    if limit < 1:
        raise ValueError(
            f"truncation limit: expected at least 1 token beside the special tokens, got {limit}"
        )
    if policy not in POLICIES:
        raise ValueError(f"truncation: expected one of {', '.join(POLICIES)}, got {policy!r}")
    if len(ids) <= limit:
        return ids
    if policy == "head":
        return ids[:limit]
    head = limit // 4 if policy == "head_tail" else 0
    return ids[:head] + ids[len(ids) - (limit - head) :]


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
    import numpy as np  # here, as what merely names a text's joins and cuts needs none

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
