"""From a model's outputs to what a client is told. Ships in ``model.tar.gz`` beside ``inference.py``.

A target of kind ``one`` answers its most probable label; of kind ``several`` every label that is probable
enough, which may be none. The probabilities are calibrated: the outputs are divided by the target's
temperature before the softmax, or before each label's sigmoid (Guo et al., 2017). With triage, an answer of
which the model is not sure enough asks for a person; triage.py has found out how sure is enough.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bodies import CSV, JSON, JSON_LINES, Parameters
from targets import Kind, Target

DECIDE_AT = 0.5
"""From which probability a label of a target with several is answered, if nothing else is said."""

NO_LABEL = ""
"""Stands in ``review_below`` for the answer that none of a target's labels holds."""


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


# --- for the client -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Said:
    """One target's answer to one text: labels as ``{"label", "score"}``, best first."""

    labels: list[dict[str, Any]]
    needs_review: bool | None
    kind: Kind
    ranked: bool
    """Whether ``top_k`` was given."""

    def as_json(self) -> Any:
        """Return the answer in its JSON form."""
        review = {} if self.needs_review is None else {"needs_review": self.needs_review}
        if self.kind == "several":
            return {"labels": self.labels, **review}
        first, *others = self.labels
        return [{**first, **review}, *others] if self.ranked else {**first, **review}


def say(outcome: Outcome, row: int, parameters: Parameters) -> Said:
    """Return the answer to one text.

    ``function_to_apply`` changes the scores that are shown; which labels are answered, and whether a person
    is asked, is decided by the calibrated probabilities.
    """
    target, ranked = outcome.rules.target, parameters.top_k != 0
    scores = _shown(outcome, row, parameters.function_to_apply)
    ranking = np.argsort(-scores, kind="stable")
    if target.kind == "several":
        ranking = ranking[outcome.chosen[row][ranking]]
    elif parameters.top_k is not None:
        ranking = ranking[: parameters.top_k or 1]
    labels = [{"label": target.labels[index], "score": float(scores[index])} for index in ranking]
    review = None if outcome.needs_review is None else bool(outcome.needs_review[row])
    return Said(labels, review, target.kind, ranked)


def _shown(outcome: Outcome, row: int, function: str | None) -> np.ndarray:
    """Return the scores of one text's labels: calibrated, if the function is the target's own."""
    logits: np.ndarray = outcome.logits[row]
    own = "sigmoid" if outcome.rules.target.kind == "several" else "softmax"
    if function in (None, own):
        scores: np.ndarray = outcome.scores[row]
        return scores
    if function == "none":
        return logits
    other: np.ndarray = probabilities(logits[None], "several" if function == "sigmoid" else "one")[0]
    return other


def encode(
    records: Sequence[Sequence[Said]], targets: Sequence[tuple[Target, bool]], single: bool, form: str
) -> str:
    """Return the body of the answer.

    Args:
        records: for each text what each target says.
        targets: of the model, each with whether it has triage.
        single: the request was one text, not a list.
        form: JSON, JSON Lines or CSV.
    """
    if form == CSV:
        return _csv(records, targets)
    alone = form == JSON_LINES or single
    values = [_value(record, targets, alone) for record in records]
    if form == JSON_LINES:
        return "".join(_dump(value) + "\n" for value in values)
    assert form == JSON
    return _dump(values[0] if single else values)


def _value(record: Sequence[Said], targets: Sequence[tuple[Target, bool]], alone: bool) -> Any:
    """Return one text's answer; transformers' pipeline puts the one class of a single text into a list."""
    if len(targets) > 1:
        return {target.name: said.as_json() for (target, _), said in zip(targets, record, strict=True)}
    value = record[0].as_json()
    return [value] if alone and record[0].kind == "one" and not record[0].ranked else value


def _dump(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _csv(records: Sequence[Sequence[Said]], targets: Sequence[tuple[Target, bool]]) -> str:
    header: list[str] = []
    rows: list[list[Any]] = [[] for _ in records]
    for index, (target, triage) in enumerate(targets):
        prefix = f"{target.name}_" if len(targets) > 1 else ""
        said = [record[index] for record in records]
        if target.kind == "several":
            header.append(f"{prefix}labels")
            cells = [[";".join(best["label"].replace(";", "\\;") for best in each.labels)] for each in said]
        else:
            width = max((len(each.labels) for each in said), default=1)
            places = [""] if width == 1 else [f"_{place}" for place in range(1, width + 1)]
            header += [f"{prefix}{name}{place}" for place in places for name in ("label", "score")]
            cells = [
                [cell for best in each.labels for cell in (best["label"], best["score"])] for each in said
            ]
            cells = [row + [""] * (2 * width - len(row)) for row in cells]
        if triage:
            header.append(f"{prefix}needs_review")
            cells = [[*row, str(each.needs_review).lower()] for row, each in zip(cells, said, strict=True)]
        for row, more in zip(rows, cells, strict=True):
            row += more
    stream = io.StringIO(newline="")
    csv.writer(stream, lineterminator="\n").writerows([header, *rows])
    return stream.getvalue()
