"""What training, evaluation and serving must do to a text in exactly the same way.

Join several columns, clean the result, and cut a long text's token ids. The file travels inside
``model.tar.gz`` next to ``inference.py``, so it imports nothing but the standard library.

Nothing here knows a language: letters, case, accents and punctuation are left as they are.
"""

from __future__ import annotations

from collections.abc import Sequence

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
