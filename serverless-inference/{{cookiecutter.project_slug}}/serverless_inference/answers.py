"""What a model answers about a text: for each of its targets a label or several, with their scores."""

import math
from typing import Any, NamedTuple

ONE = ""
"""Stands for the name of the target of a model that has one: an answer does not tell it."""

_LABEL = '{"label": …, "score": …}'
_LABELS = f'{{"labels": [{_LABEL}, …]}}'


class Label(NamedTuple):
    """A class, and how sure the model is of it: 0 to 1."""

    label: str
    score: float


class Said(NamedTuple):
    """What was said of one target.

    Attributes:
        labels: the best ones, best first; or all labels, of a target that may have several or none.
        several: whether it may have.
        needs_review: whether a person should look at it; None: the model does not say.
    """

    labels: tuple[Label, ...]
    several: bool = False
    needs_review: bool | None = None

    def in_words(self) -> str:
        """The label, or all of several, with scores: `billing 0.93`."""
        shown = self.labels if self.several else self.labels[:1]
        return ", ".join(f"{label} {score:.2f}" for label, score in shown) or "no label"

    def to_json(self) -> dict[str, Any]:
        """All of it, as JSON."""
        found: dict[str, Any] = {"answers": [label._asdict() for label in self.labels]}
        return found if self.needs_review is None else {**found, "needs_review": self.needs_review}


ByTarget = dict[str, Said]
"""An answer: of each target what was said, in the model's order; of a model with one target by `ONE`."""


def read(found: Any) -> ByTarget:
    """The answer to one text, in the form of model-build's steps/inference.py.

    One target: `{"label", "score"}`, or a list of them, best first; of several labels `{"labels": […]}`.
    Several targets: an object that has such an answer for each. `"needs_review"` beside label or labels, in a
    list beside the first label, if the model has triage.

    Raises:
        ValueError: it is something else; the text says what was expected where.
    """
    if not isinstance(found, dict) or isinstance(found.get("label"), str) or _of_several(found):
        return {ONE: _read_one("", found)}
    if not found:
        raise ValueError(f"expected {_LABEL}, {_LABELS}, or one of them for each target, got {{}}")
    return {name: _read_one(f"{name}: ", value) for name, value in found.items()}


def _read_one(where: str, found: Any) -> Said:
    several = isinstance(found, dict) and _of_several(found)
    labels = found["labels"] if several else [found] if isinstance(found, dict) else found
    if not isinstance(labels, list) or not (labels or several):
        raise ValueError(f"{where}expected {_LABEL}, or {_LABELS}, got {_shown(found)}")
    read = tuple(_label(where, each) for each in labels)
    says = found if several else labels[0]
    review = says.get("needs_review")
    if not isinstance(review, bool | None):
        raise ValueError(f"{where}needs_review: expected true or false, got {_shown(review)}")
    return Said(read, several, review)


def _of_several(found: dict[str, Any]) -> bool:
    """Whether these are a target's labels; no other keys, as of several targets one may be called labels."""
    return isinstance(found.get("labels"), list) and found.keys() <= {"labels", "needs_review"}


def _label(where: str, found: Any) -> Label:
    if isinstance(found, dict):
        label, score = found.get("label"), found.get("score")
        if isinstance(label, str) and isinstance(score, int | float) and not isinstance(score, bool):
            try:
                number = float(score)
            except OverflowError:
                number = math.inf
            if math.isfinite(number):
                return Label(label, number)
    raise ValueError(f"{where}expected {_LABEL} with a text and a number, got {_shown(found)}")


def _shown(value: Any) -> str:
    words = str(value)
    return words if len(words) <= 80 else f"{words[:79]}…"
