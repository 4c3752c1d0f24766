"""What a model answers: one target or several, each one label of many, or any number of them.

One encoder and one head serve all targets: the head's columns are the labels of the first target, then those
of the second, and so on. A target of kind ``one`` is answered by the softmax over its columns, one of kind
``several`` by a sigmoid in each of them.

A target of kind ``one`` answers its most probable label; of kind ``several`` every label that is probable
enough, which may be none. The probabilities are calibrated: the outputs are divided by the target's
temperature before the softmax, or before each label's sigmoid (Guo et al., 2017). With triage, an answer of
which the model is not sure enough asks for a person; evaluation/triage.py has found out how sure is enough.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

Kind = Literal["one", "several"]
KINDS: tuple[Kind, ...] = ("one", "several")

DECIDE_AT = 0.5
"""From which probability a label of a target with several is answered, if nothing else is said."""

NO_LABEL = ""
"""Stands in ``review_below`` for the answer that none of a target's labels holds."""


@dataclass(frozen=True)
class Target:
    """One question that the model answers about a text.

    Attributes:
        name: as in config/model.yaml.
        kind: ``one``: exactly one of the labels; ``several``: any number of them, also none.
        labels: names, in the order of their ids and of the head's columns.
    """

    name: str
    kind: Kind
    labels: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """Return the target as labels.json and serving.json hold it."""
        return {"name": self.name, "kind": self.kind, "labels": list(self.labels)}


def from_json(content: Any) -> tuple[Target, ...]:
    """Return the targets that labels.json or serving.json lists; keys of other purpose are left alone.

    Raises:
        ValueError: there is none, one has too few labels, or a name or label is there twice.
    """
    targets = tuple(Target(str(each["name"]), each["kind"], tuple(each["labels"])) for each in content)
    if not targets or len({target.name for target in targets}) < len(targets):
        raise ValueError(f"expected targets of different names, got {[target.name for target in targets]}")
    for target in targets:
        least = 2 if target.kind == "one" else 1
        if target.kind not in KINDS:
            raise ValueError(f"{target.name}: expected the kind one or several, got {target.kind!r}")
        if len(target.labels) < least or len(set(target.labels)) < len(target.labels):
            what = "two or more" if least == 2 else "one or more"
            raise ValueError(
                f"{target.name}: expected {what} different labels, got {list(target.labels[:10])}"
            )
    return targets


def columns_of(targets: Sequence[Target]) -> list[slice]:
    """Return each target's part of the head's columns, in order."""
    ends = np.cumsum([len(target.labels) for target in targets]).tolist()
    return [slice(end - len(target.labels), end) for target, end in zip(targets, ends, strict=True)]


def column_names(targets: Sequence[Target]) -> list[str]:
    """Return a name for each of the head's columns: the label, or with several targets ``target:label``."""
    if len(targets) == 1:
        return list(targets[0].labels)
    return [f"{target.name}:{label}" for target in targets for label in target.labels]


def field_names(targets: Sequence[Target], field: str) -> list[str]:
    """Return what each target's column is called in a table: the field, or with several ``target.field``."""
    return [field] if len(targets) == 1 else [f"{target.name}.{field}" for target in targets]


def as_columns(targets: Sequence[Target], truth: Sequence[np.ndarray]) -> np.ndarray:
    """Return the truth as the head's columns: bool of shape (rows, columns), True for each label that holds.

    Args:
        targets: of the model.
        truth: for each target ids, int64 of shape (rows,), for kind ``one``, or bool of shape (rows, labels)
            for kind ``several``.
    """
    parts = [
        truth[index][:, None] == np.arange(len(target.labels)) if target.kind == "one" else truth[index]
        for index, target in enumerate(targets)
    ]
    return np.concatenate(parts, axis=1)


def from_columns(targets: Sequence[Target], columns: np.ndarray) -> list[np.ndarray]:
    """Return the truth of each target, the reverse of ``as_columns``."""
    return [
        columns[:, part].argmax(axis=1) if target.kind == "one" else columns[:, part].astype(bool)
        for target, part in zip(targets, columns_of(targets), strict=True)
    ]


@dataclass(frozen=True)
class Rules:
    """How a target's outputs become an answer, as ``serving.json`` says it.

    Attributes:
        target: the question.
        columns: its part of the model's outputs.
        temperature: divides the outputs.
        review_below: label -> probability below which its answer needs a person; None: no triage.
        decide_at: of kind ``several``: label -> probability from which it is answered; None: 0.5.
    """

    target: Target
    columns: slice
    temperature: float = 1.0
    review_below: Mapping[str, float] | None = None
    decide_at: Mapping[str, float] | None = None


@dataclass(frozen=True)
class Outcome:
    """What one target says about some texts.

    Attributes:
        rules: of the target.
        logits: the model's outputs, of shape (texts, labels).
        scores: calibrated probabilities, of shape (texts, labels).
        chosen: which labels are answered, bool of shape (texts, labels).
        confidence: how probable the answer is, of shape (texts,): see ``confidence_of``.
        needs_review: whether a person should look at it, bool of shape (texts,); None: no triage.
    """

    rules: Rules
    logits: np.ndarray
    scores: np.ndarray
    chosen: np.ndarray
    confidence: np.ndarray
    needs_review: np.ndarray | None


def probabilities(logits: np.ndarray, kind: Kind, temperature: float = 1.0) -> np.ndarray:
    """Return calibrated probabilities, of the shape of the logits: (texts, labels)."""
    scaled = logits / logits.dtype.type(temperature)
    if kind == "several":
        with np.errstate(over="ignore"):  # of the exponential of a large number: its inverse is 0
            return np.asarray(1 / (1 + np.exp(-scaled)))
    powers = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def choose(scores: np.ndarray, target: Target, decide_at: Mapping[str, float] | None = None) -> np.ndarray:
    """Return which labels are answered, bool of shape (texts, labels); of equal scores the lower id."""
    if target.kind == "several":
        return np.asarray(scores >= [(decide_at or {}).get(label, DECIDE_AT) for label in target.labels])
    chosen = np.zeros(scores.shape, dtype=bool)
    chosen[np.arange(len(scores)), scores.argmax(axis=1)] = True
    return chosen


def confidence_of(scores: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """Return how probable each text's answer is, of shape (texts,).

    The score of its label; of several its least probable one; where no label is answered, how probable it is
    that none holds, with the labels taken as independent.
    """
    least = np.where(chosen, scores, np.inf).min(axis=1)
    return np.asarray(np.where(chosen.any(axis=1), least, np.prod(1 - scores, axis=1)))


def ask_a_person(
    scores: np.ndarray, chosen: np.ndarray, labels: Sequence[str], review_below: Mapping[str, float]
) -> np.ndarray:
    """Return whether each text's answer needs a person, bool of shape (texts,): if any of its labels does."""
    bounds = np.asarray([review_below[label] for label in labels])
    unsure = np.asarray((chosen & (scores < bounds)).any(axis=1))
    nothing = ~chosen.any(axis=1)
    if nothing.any():  # only of kind ``several``
        unsure |= nothing & (confidence_of(scores, chosen) < review_below[NO_LABEL])
    return unsure


def decide(rules: Rules, logits: np.ndarray) -> Outcome:
    """Return what a target says about each text.

    Args:
        rules: of the target.
        logits: its part of the outputs, of shape (texts, labels).
    """
    target = rules.target
    scores = probabilities(logits, target.kind, rules.temperature)
    chosen = choose(scores, target, rules.decide_at)
    review = (
        None
        if rules.review_below is None
        else ask_a_person(scores, chosen, target.labels, rules.review_below)
    )
    return Outcome(rules, logits, scores, chosen, confidence_of(scores, chosen), review)
