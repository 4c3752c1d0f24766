"""What the training data look like, in figures: what the answers of a model in use are compared with.

train.py writes two files into the model::

    profile.json      for each target the labels' counts in the training data and how sure the model was of
                      the validation set; how long the texts are; which share of the words is unknown
    vocabulary.bin    the words of the training data that occur at least twice, as sorted 32-bit ids (uint32,
                      little-endian), the most frequent 50,000 at most

and ``profile.json`` once more beside ``training.json``: there (``output.tar.gz``) a deployment finds it
without fetching the weights. Neither file has a text in it.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from serving.watch import (
    CONFIDENCE,
    NO_LABEL,
    UNKNOWN,
    VOCABULARY,
    WORDS,
    Answered,
    Vocabulary,
    bin_counts,
    word_id,
    words_of,
)

PROFILE = "profile.json"
VERSION = 1

MOST_WORDS = 50_000
"""How many words are kept: 200 kB, and 4 MB of memory in serving."""

MOST_TEXTS = 200_000
"""How many texts are read for it: more would change nothing but the time (some 40 µs for each)."""

CROWDED = 2_000_000
"""With so many different words those that were seen once are forgotten, so that memory does not grow."""

QUANTILES = {"p05": 0.05, "p25": 0.25, "p50": 0.5, "p75": 0.75, "p95": 0.95, "p99": 0.99}


class Profile(NamedTuple):
    """The two files' contents.

    Attributes:
        content: of profile.json.
        vocabulary: of vocabulary.bin.
    """

    content: dict[str, Any]
    vocabulary: Vocabulary


def make(
    train_texts: Iterable[str],
    train_labels: Mapping[str, Mapping[str, int]],
    validation_texts: Iterable[str],
    validation_answers: Mapping[str, Sequence[Answered]],
) -> Profile:
    """Return the profile of the data that a model was trained with.

    Args:
        train_texts: as the model reads them.
        train_labels: target -> label -> how many training texts have it; a label without any has 0. Of a
            target with several labels also ``watch.NO_LABEL``: texts with none of them.
        validation_texts: in the order of the answers.
        validation_answers: target -> what the finished model answers to each of these (``watch.answered``).
    """
    vocabulary, lengths = _read(train_texts)
    unknown = [vocabulary.unknown(words_of(text)) for text in validation_texts]
    content = {
        "version": VERSION,
        "targets": {
            name: {
                "labels": dict(train_labels[name]),
                "validation": _validation(answers, train_labels[name]),
            }
            for name, answers in validation_answers.items()
        },
        "words": {
            "texts": len(lengths),
            "mean": round(float(np.mean(lengths)), 2) if lengths else 0.0,
            **{name: float(value) for name, value in _quantiles(lengths).items()},
            "bins": {"bounds": list(WORDS), "counts": bin_counts(lengths, WORDS)},
        },
        "unknown": {
            "texts": len(unknown),
            "mean": round(float(np.mean(unknown)), 4) if unknown else 0.0,
            "vocabulary": len(vocabulary.ids),
            "bins": {"bounds": list(UNKNOWN), "counts": bin_counts(unknown, UNKNOWN)},
        },
    }
    return Profile(content, vocabulary)


def _read(texts: Iterable[str]) -> tuple[Vocabulary, list[int]]:
    """Return the vocabulary of the texts, and how many words each of them has."""
    seen: Counter[int] = Counter()
    lengths = []
    for number, text in enumerate(texts):
        if number == MOST_TEXTS:
            break
        words = words_of(text)
        lengths.append(len(words))
        seen.update(word_id(word) for word in words if word.isalpha())
        if len(seen) > CROWDED:
            seen = Counter({word: count for word, count in seen.items() if count > 1})
    # Of equally frequent words the smaller id: the same texts give the same file.
    often = sorted((-count, word) for word, count in seen.items() if count > 1)[:MOST_WORDS]
    return Vocabulary(frozenset(word for _, word in often)), lengths


def _validation(answers: Sequence[Answered], labels: Mapping[str, int]) -> dict[str, Any]:
    given = Counter(label for each in answers for label in each.labels or (NO_LABEL,))
    sure = [each.confidence for each in answers]
    flags = [each.needs_review for each in answers if each.needs_review is not None]
    return {
        "texts": len(answers),
        "labels": {label: given[label] for label in labels},
        "confidence": {
            "mean": round(float(np.mean(sure)), 4) if sure else 0.0,
            "bins": {"bounds": list(CONFIDENCE), "counts": bin_counts(sure, CONFIDENCE)},
        },
        "review_share": round(sum(flags) / len(flags), 4) if flags else None,
    }


def _quantiles(lengths: Sequence[int]) -> dict[str, float]:
    if not lengths:
        return {}
    values = np.quantile(lengths, list(QUANTILES.values()), method="nearest")
    return dict(zip(QUANTILES, values.tolist(), strict=True))


def write(profile: Profile, model: Path, output: Path) -> None:
    """Write both files into the model's folder, and ``profile.json`` into that of the training's report."""
    text = json.dumps(profile.content, indent=2, ensure_ascii=False) + "\n"
    for folder in (model, output):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / PROFILE).write_text(text, encoding="utf-8")
    np.array(sorted(profile.vocabulary.ids), dtype="<u4").tofile(model / VOCABULARY)
