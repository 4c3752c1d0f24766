"""How sure is sure enough: what the validation set says about trusting a model's scores.

train.py calls ``settle`` once for each target, with the finished model's outputs for the validation set, and
writes what it returns into ``serving.json``::

    for target, part, truth in zip(targets, columns_of(targets), validation_truth):
        entry = {**target.as_json(), **settle(target, logits[:, part], truth, precision)}

Two things are settled:

* The temperature that makes the scores probabilities (Guo et al., 2017, "On calibration of modern neural
  networks", section 4.2): the one with the highest likelihood, held near 1 by a weak prior, and used only if
  it raises the likelihood by more than a parameter is worth (Akaike, 1974). A few rows change nothing.
* For each label the lowest score from which on its answers reach the declared precision. As chance plays in
  few rows, a lower bound of the precision has to reach it, not the share that was found: Wilson's (1927),
  one-sided, 80 %. That asks for 14 right answers in a row for a precision of 0.95, and for 71 for 0.99. And
  the answers' mean score has to reach it, too: of many thresholds that are tried, some are lucky. A label
  with fewer than 30 answers in the validation set takes the threshold of all labels together, unless its own
  few answers speak against it. Where no score is high enough, a person is always asked.

Without a declared precision there is no triage: the scores stay as the model gives them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from serving.targets import NO_LABEL, Target, choose, confidence_of, probabilities

COLDEST, HOTTEST = 0.2, 5.0
"""Bounds of the temperature."""

PRIOR = math.log(2)
"""Standard deviation of the prior of the temperature's logarithm, around 0: half and double are usual."""

FEW = 30
"""A label with fewer answers takes the threshold of all labels together."""

SURE = 0.8416
"""Standard deviations of the one-sided bound: 80 % of a normal distribution lie below."""

ALWAYS = 2.0
"""The threshold of a label whose answers always need a person: no score is as high."""


def settle(target: Target, logits: np.ndarray, truth: np.ndarray, precision: float | None) -> dict[str, Any]:
    """Return ``temperature``, ``review_below`` and ``decide_at`` of a target as serving.json holds them.

    With triage also ``precision``, for the evaluation's report.

    Args:
        target: the question.
        logits: the model's outputs for the validation set, its columns only; shape (rows, labels).
        truth: ids, int64 of shape (rows,), or for kind ``several`` bool of shape (rows, labels).
        precision: which share of the answers that no person looks at is to be right; None: no triage.
    """
    if precision is None:
        return {"temperature": 1.0, "review_below": None, "decide_at": None}
    logits = np.asarray(logits, dtype=np.float64)
    temperature = fit_temperature(target, logits, truth)
    scores = probabilities(logits, target.kind, temperature)
    return {
        "temperature": temperature,
        "review_below": review_below(target, scores, truth, precision),
        "decide_at": None,
        "precision": precision,
    }


def fit_temperature(target: Target, logits: np.ndarray, truth: np.ndarray) -> float:
    """Return the temperature of a target, 1.0 where another one would not help."""
    if not len(logits):
        return 1.0
    rows = len(logits)

    def loss(log_temperature: float) -> float:
        return negative_log_likelihood(target, logits / math.exp(log_temperature), truth) * rows

    def penalised(log_temperature: float) -> float:
        return loss(log_temperature) + 0.5 * (log_temperature / PRIOR) ** 2

    best = _lowest(penalised, math.log(COLDEST), math.log(HOTTEST))
    return round(math.exp(best), 4) if loss(0.0) - loss(best) > 1 else 1.0


def negative_log_likelihood(target: Target, logits: np.ndarray, truth: np.ndarray) -> float:
    """Return the mean over the rows of -log p(truth), for kind ``several`` summed over the labels."""
    if target.kind == "several":
        # log(1 + e^-x) where the label holds, log(1 + e^x) where it does not
        return float(np.logaddexp(0, np.where(truth, -logits, logits)).sum(axis=1).mean())
    highest = logits.max(axis=1)
    total = highest + np.log(np.exp(logits - highest[:, None]).sum(axis=1))
    return float((total - logits[np.arange(len(logits)), truth]).mean())


def review_below(target: Target, scores: np.ndarray, truth: np.ndarray, precision: float) -> dict[str, float]:
    """Return for each label the score below which its answer needs a person.

    For kind ``several`` also for ``NO_LABEL``, the answer that none of the labels holds.

    Args:
        target: the question.
        scores: calibrated, of shape (rows, labels).
        truth: as in ``settle``.
        precision: to be reached by the answers at and above a threshold.
    """
    answers = _answers(target, scores, truth)
    common = threshold(
        np.concatenate([sure for sure, _ in answers.values()]),
        np.concatenate([right for _, right in answers.values()]),
        precision,
    )
    return {label: _of_label(*each, common, precision) for label, each in answers.items()}


def threshold(sure: np.ndarray, right: np.ndarray, precision: float) -> float:
    """Return the lowest score from which on the answers' precision is high enough; ``ALWAYS`` if none is.

    Args:
        sure: score of each answer, shape (answers,).
        right: whether it was right, shape (answers,).
        precision: for the lower bound of the share of right answers from that score on, and for their mean
            score.
    """
    order = np.argsort(-sure, kind="stable")
    scores, hits = sure[order], np.cumsum(right[order])
    answers = np.arange(1, len(hits) + 1)
    reached = (precision_bounds(hits, answers)[0] >= precision) & (np.cumsum(scores) / answers >= precision)
    last_of_equals = np.append(scores[1:] < scores[:-1], True)[: len(scores)]
    enough = np.flatnonzero(reached & last_of_equals)
    # Rounded down, so that what is written can be read, and the answer itself stays above it.
    return math.floor(float(scores[enough[-1]]) * 1e6) / 1e6 if len(enough) else ALWAYS


def precision_bounds(hits: np.ndarray, answers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return Wilson's lower and upper bound of a share, each of which holds in 80 % of the cases."""
    share, square = hits / answers, SURE**2
    middle = share + square / (2 * answers)
    spread = SURE * np.sqrt(share * (1 - share) / answers + square / (4 * answers**2))
    scale = 1 + square / answers
    return (middle - spread) / scale, (middle + spread) / scale


def coverage_curve(
    confidence: np.ndarray, right: np.ndarray, answers: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Return how precise the surest answers are, the more of them are taken (El-Yaniv and Wiener, 2010).

    Args:
        confidence: of each text's answer, shape (rows,).
        right: how many of its labels are right, or whether it is, shape (rows,).
        answers: how many labels it has; one, if not given.

    Returns:
        Coverage, the share of the texts, and precision among them, each of shape (rows,); texts of the same
        confidence are taken together.
    """
    rows = len(confidence)
    order = np.argsort(-confidence, kind="stable")
    total = np.cumsum(np.ones(rows) if answers is None else answers[order])
    share = np.cumsum(right[order]) / total
    ordered = confidence[order]
    last = np.append(ordered[1:] < ordered[:-1], True)[:rows]
    return (np.flatnonzero(last) + 1) / max(1, rows), share[last]


def _answers(
    target: Target, scores: np.ndarray, truth: np.ndarray
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return the answers with each label: how sure they are, and whether they are right."""
    chosen = choose(scores, target)
    holds = truth if target.kind == "several" else truth[:, None] == np.arange(len(target.labels))
    found = {
        label: (scores[chosen[:, index], index], holds[chosen[:, index], index])
        for index, label in enumerate(target.labels)
    }
    if target.kind == "several":
        nothing = ~chosen.any(axis=1)
        found[NO_LABEL] = (confidence_of(scores, chosen)[nothing], ~holds[nothing].any(axis=1))
    return found


def _of_label(sure: np.ndarray, right: np.ndarray, common: float, precision: float) -> float:
    if len(sure) >= FEW:
        return threshold(sure, right, precision)
    taken = right[sure >= common]
    if len(taken) and float(precision_bounds(taken.sum(), np.asarray(len(taken)))[1]) < precision:
        return ALWAYS
    return common


def _lowest(function: Callable[[float], float], low: float, high: float) -> float:
    """Return where a function with one valley is lowest, by golden-section search."""
    ratio = (math.sqrt(5) - 1) / 2
    left, right = high - ratio * (high - low), low + ratio * (high - low)
    at_left, at_right = function(left), function(right)
    while high - low > 1e-5:
        if at_left < at_right:
            high, right, at_right = right, left, at_left
            left = high - ratio * (high - low)
            at_left = function(left)
        else:
            low, left, at_left = left, right, at_right
            right = low + ratio * (high - low)
            at_right = function(right)
    return (low + high) / 2
