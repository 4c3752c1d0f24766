"""What training, evaluation and serving must do to a text in exactly the same way, up to padded token ids.

Join several columns, clean the result, replace personal data, tokenise, and cut a long text's token ids.
Nothing here knows a language: letters, case, accents and punctuation are left as they are.

``data.redact`` of config/model.yaml says which kinds of personal data placeholders are to replace.
preprocess.py applies this before anything else looks at a text and records it in labels.json; train.py puts
it into serving.json, and this module, with the library that it needs, travels in the model; inference.py
applies it to every request. So the model reads the same words in both, and no step writes what was replaced.
Names, addresses and dates are not found: that takes a model, not rules.

* ``emails``: addresses such as ``jane.doe+x@example.org``
* ``phones``: numbers that are valid in their country (Google's libphonenumber, in its Python port): with
  ``+`` and a country code of any country, without one of ``phone_region``
* ``cards``: 13 to 19 digits, in groups or not, that begin as those of banks do (2 to 6) and whose check digit
  is right (Luhn, ISO/IEC 7812)
* ``ibans``: bank accounts whose check digits are right (ISO 13616)

A tokenizer is one of transformers, or, where serving does without that library, the ``tokenizers.Tokenizer``
inside it, read from ``tokenizer.json`` (``read_tokenizer``). Both give the same ids. To be imported, this
module needs nothing but the standard library.
"""

from __future__ import annotations

import importlib
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
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

PLACEHOLDERS = {"emails": "<EMAIL>", "ibans": "<IBAN>", "cards": "<CARD>", "phones": "<PHONE>"}
"""Kind -> what takes its place; in this order: a long number is a card or an account before a phone."""

LIBRARY = "phonenumbers.zip"
"""The library, beside this file where no environment has it: in a job's code, and in a model's."""

# The part before the @ as RFC 5322 has it without quotes, at most 64 characters; a domain with a dot.
_EMAIL = re.compile(r"[\w!#$%&'*+/=?^`{|}~.-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,8}")
_IBAN = re.compile(r"(?<![A-Za-z0-9])[A-Z]{2}\d{2}(?: ?[A-Z0-9]){11,30}(?![A-Za-z0-9])")
_DIGITS = re.compile(r"\d(?:[ -]?\d){12,}")  # in groups or not, as many as a card has, or more
_DIGITS_OF_A_PHONE = re.compile(r"(?:\d[^\d\n]{0,4}){7}")  # no valid number has fewer

SHORTEST_IBAN = 15  # Norway's
MOST_DIGITS = 19  # of a card

Find = Callable[[str], "list[tuple[int, int]]"]


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


@dataclass(frozen=True)
class Redaction:
    """Which kinds are replaced, in the order of ``PLACEHOLDERS``.

    Attributes:
        kinds: some keys of ``PLACEHOLDERS``.
        phone_region: country of the numbers that name none, in two letters (ISO 3166-1).
    """

    kinds: tuple[str, ...]
    phone_region: str = "CA"

    def as_json(self) -> dict[str, Any]:
        """Return them as labels.json and serving.json have them."""
        return {**{kind: kind in self.kinds for kind in PLACEHOLDERS}, "phone_region": self.phone_region}

    @classmethod
    def from_json(cls, content: Mapping[str, Any] | None) -> Redaction | None:
        """Return what ``as_json`` has made of rules; None: nothing is replaced."""
        kinds = tuple(kind for kind in PLACEHOLDERS if (content or {}).get(kind))
        return cls(kinds, str((content or {}).get("phone_region", "CA"))) if kinds else None


class Redactor:
    """Replaces what the rules name.

    Attributes:
        found: how many of each kind so far, and how many texts had any (``texts``).
    """

    def __init__(self, rules: Redaction | None) -> None:
        """Load what the rules need.

        Raises:
            ModuleNotFoundError: phones are to be found, and the library is neither installed nor beside this.
        """
        finders: dict[str, Find] = {"emails": _emails, "ibans": _ibans, "cards": _cards}
        kinds = rules.kinds if rules else ()
        if rules and "phones" in kinds:
            finders["phones"] = _phones(rules.phone_region)
        self._finders = [(kind, PLACEHOLDERS[kind], finders[kind]) for kind in PLACEHOLDERS if kind in kinds]
        self.found: Counter[str] = Counter({kind: 0 for kind in (*kinds, "texts")} if kinds else {})

    def __call__(self, text: str) -> str:
        """Return the text with placeholders; of what it returns it finds nothing more."""
        redacted = text
        while True:  # each round takes digits or an @ away, so there is a last one; mostly it is the second
            before = redacted
            for kind, placeholder, find in self._finders:
                redacted, count = _replaced(redacted, find(redacted), placeholder)
                self.found[kind] += count
            if redacted == before:
                break
        if redacted != text:
            self.found["texts"] += 1
        return redacted


def _replaced(text: str, places: list[tuple[int, int]], placeholder: str) -> tuple[str, int]:
    if not places:
        return text, 0
    parts, end = [], 0
    for start, stop in places:
        parts += [text[end:start], placeholder]
        end = stop
    return "".join([*parts, text[end:]]), len(places)


def _emails(text: str) -> list[tuple[int, int]]:
    return [match.span() for match in _EMAIL.finditer(text)] if "@" in text else []


def _ibans(text: str) -> list[tuple[int, int]]:
    places = []
    for match in _IBAN.finditer(text):
        # words in capitals may follow: the longest beginning whose check digits are right
        ends = [place.end() for place in re.finditer(r"[A-Z0-9]+", match[0])]
        good = (end for end in reversed(ends) if _is_iban(match[0][:end].replace(" ", "")))
        if end := next(good, None):
            places.append((match.start(), match.start() + end))
    return places


def _is_iban(number: str) -> bool:
    """Whether the check digits are right; with the first four characters last and A as 10, the rest is 1."""
    whole = "".join(str(int(character, 36)) for character in number[4:] + number[:4])
    return len(number) >= SHORTEST_IBAN and int(whole) % 97 == 1


def _cards(text: str) -> list[tuple[int, int]]:
    places = []
    for run in _DIGITS.finditer(text):  # other numbers may stand before a card's and after it
        groups = [
            (run.start() + group.start(), run.start() + group.end()) for group in re.finditer(r"\d+", run[0])
        ]
        first = 0
        while first < len(groups):
            lasts = range(min(first + MOST_DIGITS, len(groups)) - 1, first - 1, -1)
            card = next((last for last in lasts if _is_card(text[groups[first][0] : groups[last][1]])), None)
            if card is not None:
                places.append((groups[first][0], groups[card][1]))
                first = card
            first += 1
    return places


def _is_card(number: str) -> bool:
    """Whether it is as long as a card's, begins as one, and its check digit is right.

    Every second digit from the right counts twice.
    """
    digits = re.sub(r"\D", "", number)
    if not 13 <= len(digits) <= MOST_DIGITS or digits[0] not in "23456":
        return False
    numbers = [int(digit) for digit in reversed(digits)]
    doubled = [sum(divmod(2 * number, 10)) for number in numbers[1::2]]
    return (sum(numbers[::2]) + sum(doubled)) % 10 == 0


def _phones(region: str) -> Find:
    numbers = _library()
    if region not in numbers.SUPPORTED_REGIONS:
        raise ValueError(f"data.redact.phone_region: expected a country such as CA, got {region!r}")

    def find(text: str) -> list[tuple[int, int]]:
        if not _DIGITS_OF_A_PHONE.search(text):
            return []
        return [(match.start, match.end) for match in numbers.PhoneNumberMatcher(text, region)]

    return find


def _library() -> Any:
    """Import phonenumbers: the copy beside this file, else an installed one."""
    copy = str(Path(__file__).with_name(LIBRARY))
    if Path(copy).is_file() and copy not in sys.path:
        sys.path.insert(0, copy)
    try:
        return importlib.import_module("phonenumbers")
    except ModuleNotFoundError:
        raise ModuleNotFoundError(
            f"data.redact.phones: expected the library phonenumbers, installed or as {copy}; found neither"
        ) from None


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
