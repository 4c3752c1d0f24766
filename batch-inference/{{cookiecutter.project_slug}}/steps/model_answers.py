"""What a model answers about a text: for each of its targets a label or several, with their scores.

The forms are those of an endpoint with model-build's steps/inference.py:

- one target: ``{"label": text, "score": number}``, or a list of them, best first
- several targets: an object for each, ``{"sentiment": {"label", "score"}, "topics": {"labels": [{"label",
  "score"}, …]}}``; a target of which a text has any number of labels has ``labels``, maybe none
- a model that says what a person should look at has ``"needs_review": true`` or ``false`` beside them (in a
  list beside the first)

What a file's first readable answer is made of, all its answers are made of: one model has given them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Optional


class Target(NamedTuple):
    """What a model decides about a text."""

    name: str
    """Of a model with a single target it is not told: empty."""
    several: bool = False
    """Whether a text may have any number of its labels."""
    reviewed: bool = False
    """Whether an answer says if a person should look at it."""


class Said(NamedTuple):
    """The answer of one target: labels with their scores, best first, and whether a person should look."""

    labels: list[tuple[str, float]]
    needs_review: bool | None = None


Answer = list[Said]
"""What was said of each target, in the order of the targets."""

ONE = (Target(""),)

_LARGEST = 1e300
_NUMBERS = (float, int)
_SEVERAL = {"labels", "needs_review"}  # and no more: of several targets one may be called "labels"

_Read = Callable[[Any], Optional[Said]]


def targets_of(answer: Any) -> tuple[Target, ...] | None:
    """Return what an answer is made of, or None when it cannot be read."""
    single = _target("", answer)
    if single is not None:
        targets: tuple[Target, ...] = (single,)
    elif isinstance(answer, dict):
        found = [_target(name, value) for name, value in answer.items()]
        targets = tuple(target for target in found if target is not None)
        if len(targets) < len(answer) or not targets:
            return None
    else:
        return None
    return targets if reader(targets, 1)(answer) is not None else None


def reader(targets: Sequence[Target], top_labels: int) -> Callable[[Any], Answer | None]:
    """Return the function that reads answers of this form; it returns None for any other.

    Args:
        targets: what the answers are made of.
        top_labels: how many labels to read at most of a target that has one.
    """
    reads = [
        (target.name, _several(target) if target.several else _one(target, top_labels)) for target in targets
    ]
    (name, read), *others = reads
    if not name:

        def read_single(answer: Any) -> Answer | None:
            said = read(answer)
            return None if said is None else [said]

        return read_single

    names = {name for name, _ in reads}

    def read_each(answer: Any) -> Answer | None:
        if not isinstance(answer, dict) or answer.keys() != names:
            return None
        found: Answer = []
        for name, read in reads:
            said = read(answer[name])
            if said is None:
                return None
            found.append(said)
        return found

    return read_each


def _target(name: str, value: Any) -> Target | None:
    """Return what one target's answer looks like; its labels and scores are not looked at yet."""
    first = value[0] if isinstance(value, list) and value else value
    if not isinstance(first, dict):
        return None
    reviewed = "needs_review" in first
    if isinstance(first.get("label"), str):
        return Target(name, False, reviewed)
    if first is value and isinstance(first.get("labels"), list) and first.keys() <= _SEVERAL:
        return Target(name, True, reviewed)
    return None


def _one(target: Target, top_labels: int) -> _Read:
    reviewed = target.reviewed

    def read(value: Any) -> Said | None:
        if isinstance(value, dict):
            value = [value]
        elif not isinstance(value, list):
            return None
        labels = _labels(value[:top_labels])
        if not labels:
            return None
        if not reviewed:
            return None if "needs_review" in value[0] else Said(labels, None)
        review = value[0].get("needs_review")
        return Said(labels, review) if isinstance(review, bool) else None

    return read


def _several(target: Target) -> _Read:
    def read(value: Any) -> Said | None:
        if not isinstance(value, dict) or not isinstance(value.get("labels"), list):
            return None
        labels, review = _labels(value["labels"]), value.get("needs_review")
        if labels is None or isinstance(review, bool) != target.reviewed:
            return None
        return Said(labels, review)

    return read


def _labels(values: list[Any]) -> list[tuple[str, float]] | None:
    """Return labels with scores, or None when one of them is not ``{"label": text, "score": number}``."""
    labels = []
    for each in values:
        if not isinstance(each, dict):
            return None
        label = each.get("label")
        score: Any = each.get("score")
        # NaN is within nothing, and true is of neither type
        if not isinstance(label, str) or type(score) not in _NUMBERS or not -_LARGEST < score < _LARGEST:
            return None
        labels.append((label, score))
    return labels
