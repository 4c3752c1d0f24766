"""Personal data in texts, replaced by placeholders: the same in training and in serving.

``data.redact`` of config/model.yaml says which kinds. preprocess.py applies this before anything else looks
at a text and records the rules in labels.json; train.py puts them into serving.json, and this module, with
the library that it needs, travels in the model; inference.py applies it to every request. So the
model reads the same words in both, and no step writes what was replaced.

* ``emails``: addresses such as ``jane.doe+x@example.org``
* ``phones``: numbers that are valid in their country (Google's libphonenumber, in its Python port): with
  ``+`` and a country code of any country, without one of ``phone_region``
* ``cards``: 13 to 19 digits, in groups or not, that begin as those of banks do (2 to 6) and whose check digit
  is right (Luhn, ISO/IEC 7812)
* ``ibans``: bank accounts whose check digits are right (ISO 13616)

Names, addresses and dates are not found: that takes a model, not rules. It imports nothing but the standard
library and, for ``phones``, phonenumbers.
"""

from __future__ import annotations

import importlib
import re
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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


@dataclass(frozen=True)
class Rules:
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
    def from_json(cls, content: Mapping[str, Any] | None) -> Rules | None:
        """Return what ``as_json`` has made of rules; None: nothing is replaced."""
        kinds = tuple(kind for kind in PLACEHOLDERS if (content or {}).get(kind))
        return cls(kinds, str((content or {}).get("phone_region", "CA"))) if kinds else None


class Redactor:
    """Replaces what the rules name.

    Attributes:
        found: how many of each kind so far, and how many texts had any (``texts``).
    """

    def __init__(self, rules: Rules | None) -> None:
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
