"""Secret values do not reach a log."""

from __future__ import annotations

import re
from collections.abc import Iterable

_MASK = "***"
#: Shorter values would turn half of the log into asterisks, and are no secrets.
_SHORTEST = 3  # characters


class Mask:
    """Replaces values by ``***``, as CodeBuild does with values of Parameter Store and Secrets Manager."""

    def __init__(self, values: Iterable[str] = ()) -> None:
        # The log comes line by line, so that a value of several lines is hidden line by line.
        lines = {line.strip() for value in values for line in value.splitlines()}
        longest_first = sorted((line for line in lines if len(line) >= _SHORTEST), key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, longest_first))) if longest_first else None

    def __call__(self, text: str) -> str:
        """Return the text without the values."""
        return self._pattern.sub(_MASK, text) if self._pattern else text
