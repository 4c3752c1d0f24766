"""Statistics of texts that hold for any language, gathered batch by batch in memory that does not grow."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from duplicates import string_buffers

Array = npt.NDArray[Any]

LONGEST = 1 << 20  # lengths above this are counted as this; the largest is kept as it is
QUANTILES = {"p05": 0.05, "p25": 0.25, "p50": 0.5, "p75": 0.75, "p95": 0.95, "p99": 0.99}


class Lengths:
    """How often each length occurs."""

    def __init__(self) -> None:
        """Begin with none."""
        self._counts = np.zeros(1, np.int64)
        self._sum = 0
        self._max = 0

    def add(self, lengths: Array) -> None:
        """Count lengths, at least one."""
        self._sum += int(lengths.sum())
        self._max = max(self._max, int(lengths.max()))
        counts = np.bincount(np.minimum(lengths, LONGEST))
        if len(counts) > len(self._counts):
            self._counts = np.pad(self._counts, (0, len(counts) - len(self._counts)))
        self._counts[: len(counts)] += counts

    def summary(self) -> dict[str, float]:
        """Return mean, minimum, quantiles (nearest rank) and maximum; empty when nothing was counted."""
        below = np.cumsum(self._counts)
        if not (total := int(below[-1])):
            return {}
        quantiles = {name: int(np.searchsorted(below, np.ceil(q * total))) for name, q in QUANTILES.items()}
        return {
            "mean": round(self._sum / total, 2),
            "min": int(np.flatnonzero(self._counts)[0]),
            **quantiles,
            "max": self._max,
        }


class TextStatistics:
    """Lengths in characters and words (runs without ASCII white space), and shares of kinds of characters."""

    def __init__(self) -> None:
        """Begin with no text."""
        self.texts = 0
        self._characters, self._words = Lengths(), Lengths()
        self._total = self._non_ascii = self._digits = self._line_breaks = self._with_line_break = 0

    def add(self, texts: pa.Array) -> None:
        """Count an array of strings, none of them empty."""
        if not len(texts):
            return
        data, bounds = string_buffers(texts)
        characters = pc.utf8_length(texts).to_numpy(zero_copy_only=False)
        breaks = np.flatnonzero(data == ord("\n"))
        self.texts += len(texts)
        self._characters.add(characters)
        self._words.add(_words(data, bounds))
        self._total += int(characters.sum())
        self._non_ascii += int(np.count_nonzero(data >= 0xC0))  # first bytes of characters of several bytes
        self._digits += int(np.count_nonzero((data >= ord("0")) & (data <= ord("9"))))
        self._line_breaks += len(breaks)
        self._with_line_break += len(np.unique(np.searchsorted(bounds, breaks, side="right")))

    def summary(self) -> dict[str, Any]:
        """Return the statistics, ready for JSON."""
        return {
            "texts": self.texts,
            "characters": self._characters.summary(),
            "words": self._words.summary(),
            "non_ascii_share": _share(self._non_ascii, self._total),
            "digit_share": _share(self._digits, self._total),
            "line_breaks_per_text": _share(self._line_breaks, self.texts),
            "texts_with_line_break_share": _share(self._with_line_break, self.texts),
        }


def _words(data: Array, bounds: Array) -> Array:
    """Return the number of words of each text: bytes above the space that follow a space or begin a text."""
    inside = data > ord(" ")
    begins = inside.copy()
    begins[1:] &= ~inside[:-1]
    begins[bounds[:-1]] = inside[bounds[:-1]]
    return np.add.reduceat(begins.view(np.uint8), bounds[:-1], dtype=np.int32)


def _share(part: int, whole: int) -> float:
    return round(part / whole, 4) if whole else 0.0
