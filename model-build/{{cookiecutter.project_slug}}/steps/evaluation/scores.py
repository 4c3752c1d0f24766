"""How good predictions are: every score of metrics.py, calibration, and how sure each figure is.

Arrays of label ids run over the rows of a set; where a text may have any number of labels they are bools of
shape (rows, labels). Every score follows scikit-learn's definition with ``zero_division=0``; the macro
averages are over the classes or labels that occur among the true or the predicted ones, which is
scikit-learn's default.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from evaluation.metrics import WATCHED

CALIBRATION_BINS = 15

KEPT = ("macro_precision", "macro_recall", "macro_f1", "weighted_f1")
"""Averages that mean the same as for one label."""


@dataclass(frozen=True)
class Estimate:
    """A figure with its uncertainty from resampling the rows.

    Attributes:
        value: on the set as it is.
        standard_deviation: over the resampled sets.
        low, high: the interval that holds 95 % of the resampled values.
    """

    value: float
    standard_deviation: float
    low: float
    high: float


@dataclass(frozen=True)
class ClassScores:
    """Scores of each class; every array has shape (..., classes)."""

    precision: np.ndarray
    recall: np.ndarray
    f1: np.ndarray
    support: np.ndarray


@dataclass(frozen=True)
class Calibration:
    """Confidence against accuracy in bins of equal width; arrays of shape (bins,), 0 in an empty bin."""

    count: np.ndarray
    confidence: np.ndarray
    accuracy: np.ndarray

    @property
    def error(self) -> float:
        """Expected calibration error: the rows' mean distance of confidence from accuracy."""
        return float(np.sum(self.count * np.abs(self.confidence - self.accuracy)) / max(1, self.count.sum()))


def confusion_matrix(true: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """Return how often each true class (row) was predicted as each class (column), int64."""
    cells = np.bincount(true.astype(np.int64) * classes + predicted, minlength=classes * classes)
    return cells.reshape(classes, classes)


def summary(true: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    """Return what training watches."""
    classes = int(max(true.max(), predicted.max())) + 1
    scores = averages(*_counts(confusion_matrix(true, predicted, classes)))
    return {name: float(scores[name]) for name in WATCHED}


def class_scores(matrix: np.ndarray) -> ClassScores:
    """Return precision, recall, F1 and support of each class of a confusion matrix."""
    hits, predicted, support = _counts(matrix)
    return ClassScores(
        ratio(hits, predicted), ratio(hits, support), f_beta(hits, predicted, support, 1.0), support
    )


def f_beta(hits: np.ndarray, predicted: np.ndarray, support: np.ndarray, beta: float) -> np.ndarray:
    """Return F-beta of each class; recall counts beta times as much as precision (van Rijsbergen, 1979)."""
    return ratio((1 + beta**2) * hits, beta**2 * support + predicted)


def averages(hits: np.ndarray, predicted: np.ndarray, support: np.ndarray) -> dict[str, np.ndarray]:
    """Return accuracy and the averages of the classes' scores.

    Args:
        hits: rows of each class that were predicted as it; shape (..., classes).
        predicted: rows that were predicted as each class, rightly or not.
        support: rows of each class.

    Returns:
        Arrays of shape (...).
    """
    precision, recall = ratio(hits, predicted), ratio(hits, support)
    f1 = f_beta(hits, predicted, support, 1.0)
    occurs = (support + predicted) > 0
    rows = support.sum(axis=-1)

    def macro(scores: np.ndarray) -> np.ndarray:
        return ratio(np.sum(scores * occurs, axis=-1), occurs.sum(axis=-1))

    def weighted(scores: np.ndarray) -> np.ndarray:
        return ratio(np.sum(scores * support, axis=-1), rows)

    return {
        "accuracy": ratio(hits.sum(axis=-1), rows),
        "macro_precision": macro(precision),
        "macro_recall": macro(recall),
        "macro_f1": macro(f1),
        "weighted_precision": weighted(precision),
        "weighted_recall": weighted(recall),
        "weighted_f0_5": weighted(f_beta(hits, predicted, support, 0.5)),
        "weighted_f1": weighted(f1),
        "weighted_f2": weighted(f_beta(hits, predicted, support, 2.0)),
    }


def calibration(confidence: np.ndarray, correct: np.ndarray, bins: int = CALIBRATION_BINS) -> Calibration:
    """Compare the confidence in the predicted class with how often it was right (Guo et al., 2017).

    Args:
        confidence: probability of the predicted class, shape (rows,).
        correct: whether it was the true class, shape (rows,).
        bins: equal in width over (0, 1], each closed on the right.
    """
    index = bin_of(confidence, bins)
    count = np.bincount(index, minlength=bins)
    return Calibration(
        count,
        ratio(np.bincount(index, weights=confidence, minlength=bins), count),
        ratio(np.bincount(index, weights=correct, minlength=bins), count),
    )


def estimates(
    true: np.ndarray, predicted: np.ndarray, confidence: np.ndarray, classes: int, repeats: int, seed: int
) -> dict[str, Estimate]:
    """Return every averaged score and ``expected_calibration_error``, each with its bootstrap interval.

    The rows are drawn anew with replacement, as many as there are, ``repeats`` times, and each figure is
    computed on every draw; the interval is from the 2.5th to the 97.5th percentile (Efron and Tibshirani,
    1993, chapter 13).

    Args:
        true: label ids, shape (rows,), at least one row.
        predicted: label ids, shape (rows,).
        confidence: probability of the predicted class, shape (rows,).
        classes: number of classes.
        repeats: number of draws; with 0 the deviation is 0 and the interval is the value itself.
        seed: of the draws.
    """
    values = {
        name: float(value)
        for name, value in averages(*_counts(confusion_matrix(true, predicted, classes))).items()
    }
    values["expected_calibration_error"] = calibration(confidence, true == predicted).error
    if repeats < 1:
        return {name: Estimate(value, 0.0, value, value) for name, value in values.items()}
    return with_intervals(values, _resample(true, predicted, confidence, classes, repeats, seed))


def with_intervals(values: Mapping[str, float], draws: Mapping[str, np.ndarray]) -> dict[str, Estimate]:
    """Return each figure with its deviation and interval over the draws, of shape (repeats,)."""
    result = {}
    for name, value in values.items():
        low, high = np.percentile(draws[name], [2.5, 97.5])
        result[name] = Estimate(value, float(np.std(draws[name])), float(low), float(high))
    return result


def ratios(
    parts: Mapping[str, tuple[np.ndarray, np.ndarray]], repeats: int, seed: int
) -> dict[str, Estimate]:
    """Return shares with their bootstrap intervals, as ``estimates`` does.

    Args:
        parts: name -> what counts and out of how much, both of shape (rows,); 0 out of 0 is 0.
        repeats: number of draws.
        seed: of the draws.
    """
    values = {name: float(ratio(part.sum(), whole.sum())) for name, (part, whole) in parts.items()}
    if repeats < 1:
        return {name: Estimate(value, 0.0, value, value) for name, value in values.items()}
    columns = np.stack([each for pair in parts.values() for each in pair], axis=1)
    sums = np.concatenate([weights @ columns for weights in drawn_weights(len(columns), repeats, seed)])
    draws = {name: ratio(sums[:, 2 * index], sums[:, 2 * index + 1]) for index, name in enumerate(parts)}
    return with_intervals(values, draws)


def drawn_weights(rows: int, repeats: int, seed: int) -> Iterator[np.ndarray]:
    """Yield how often each row was drawn, of shape (draws, rows), some millions of numbers at a time."""
    random = np.random.default_rng(seed)
    step = max(1, 2_000_000 // rows)
    for start in range(0, repeats, step):
        count = min(step, repeats - start)
        drawn = random.integers(0, rows, size=(count, rows), dtype=np.int32)
        cells = (np.arange(count)[:, None] * rows + drawn).ravel()
        yield np.bincount(cells, minlength=count * rows).reshape(count, rows).astype(np.float64)


def _resample(
    true: np.ndarray, predicted: np.ndarray, confidence: np.ndarray, classes: int, repeats: int, seed: int
) -> dict[str, np.ndarray]:
    """Return every figure on every draw, of shape (repeats,); holds some millions of drawn rows at a time."""
    random = np.random.default_rng(seed)
    rows, correct = len(true), true == predicted
    index, gap = bin_of(confidence, CALIBRATION_BINS), correct - confidence
    parts: list[dict[str, np.ndarray]] = []
    step = max(1, 2_000_000 // rows)
    for start in range(0, repeats, step):
        count = min(step, repeats - start)
        drawn = random.integers(0, rows, size=(count, rows), dtype=np.int32)
        draw = np.arange(count)[:, None]

        # One bincount for all draws: class c of draw d is counted in the cell d * classes + c.
        cell = draw * classes + true[drawn]
        support = np.bincount(cell.ravel(), minlength=count * classes)
        hits = np.bincount(cell[correct[drawn]], minlength=count * classes)
        found = np.bincount((draw * classes + predicted[drawn]).ravel(), minlength=count * classes)
        shape = (count, classes)
        part = averages(hits.reshape(shape), found.reshape(shape), support.reshape(shape))

        # A bin's share of the error is |sum of (correct - confidence)| / rows: counts and means cancel out.
        bins = (draw * CALIBRATION_BINS + index[drawn]).ravel()
        gaps = np.bincount(bins, weights=gap[drawn].ravel(), minlength=count * CALIBRATION_BINS)
        part["expected_calibration_error"] = np.abs(gaps.reshape(count, -1)).sum(axis=1) / rows
        parts.append(part)
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _counts(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return rows found, predicted and there, of each class of a confusion matrix."""
    return np.diag(matrix), matrix.sum(axis=0), matrix.sum(axis=1)


def bin_of(confidence: np.ndarray, bins: int) -> np.ndarray:
    """Return the number of each value's bin: equal in width over (0, 1], each closed on the right."""
    index: np.ndarray = np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)
    return index


def ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Divide; 0 where there is nothing to divide by."""
    part, whole = np.asarray(part, dtype=np.float64), np.asarray(whole, dtype=np.float64)
    result: np.ndarray = np.zeros(np.broadcast_shapes(part.shape, whole.shape))
    np.divide(part, whole, out=result, where=whole != 0)
    return result


def label_scores(true: np.ndarray, predicted: np.ndarray) -> ClassScores:
    """Return precision, recall, F1 and support of each label, from bools of shape (rows, labels)."""
    hits, found, support = (true & predicted).sum(axis=0), predicted.sum(axis=0), true.sum(axis=0)
    return ClassScores(ratio(hits, found), ratio(hits, support), f_beta(hits, found, support, 1.0), support)


def label_calibration(true: np.ndarray, predicted: np.ndarray, scores: np.ndarray) -> Calibration:
    """Compare the scores of the labels that were answered with how often these hold."""
    return calibration(scores[predicted], true[predicted])


def label_summary(true: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    """Return what training watches; accuracy is that all labels are right."""
    figures = _figures(true, predicted, np.ones((1, len(true))))
    figures["accuracy"] = figures["exact_match"]
    return {name: float(figures[name][0]) for name in WATCHED}


def label_estimates(
    true: np.ndarray, predicted: np.ndarray, scores: np.ndarray, repeats: int, seed: int
) -> dict[str, Estimate]:
    """Return every figure with its bootstrap interval, as ``estimates`` does.

    ``exact_match`` is the share of the rows that are right in every label, ``hamming_loss`` the share of
    wrong decisions among all rows and labels. The expected calibration error is over the labels that were
    answered.

    Args:
        true: bool of shape (rows, labels), at least one row.
        predicted: likewise.
        scores: probability of each label, of shape (rows, labels).
        repeats: number of draws; with 0 the deviation is 0 and the interval is the value itself.
        seed: of the draws.
    """
    gaps = _gaps(true, predicted, scores)

    def on(weights: np.ndarray) -> dict[str, np.ndarray]:
        figures = _figures(true, predicted, weights)
        error = ratio(np.abs(weights @ gaps).sum(axis=1), weights @ predicted.sum(axis=1))
        return {**figures, "expected_calibration_error": error}

    values = {name: float(value[0]) for name, value in on(np.ones((1, len(true)))).items()}
    if repeats < 1:
        return {name: Estimate(value, 0.0, value, value) for name, value in values.items()}
    parts = [on(weights) for weights in drawn_weights(len(true), repeats, seed)]
    return with_intervals(values, {name: np.concatenate([part[name] for part in parts]) for name in values})


def _figures(true: np.ndarray, predicted: np.ndarray, weights: np.ndarray) -> dict[str, np.ndarray]:
    """Return every figure but the calibration error, of shape (draws,).

    Args:
        true: bool of shape (rows, labels).
        predicted: likewise.
        weights: how often each row counts, of shape (draws, rows).
    """
    hits, found, support = (weights @ each.astype(np.float64) for each in (true & predicted, predicted, true))
    total = [each.sum(axis=1) for each in (hits, found, support)]
    average = averages(hits, found, support)
    rows = weights.sum(axis=1)
    wrong = (true != predicted).sum(axis=1)
    return {
        "micro_precision": ratio(total[0], total[1]),
        "micro_recall": ratio(total[0], total[2]),
        "micro_f1": f_beta(total[0], total[1], total[2], 1.0),
        **{name: average[name] for name in KEPT},
        "exact_match": ratio(weights @ (wrong == 0), rows),
        "hamming_loss": ratio(weights @ wrong, rows * true.shape[1]),
    }


def _gaps(true: np.ndarray, predicted: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Return each row's sum of (holds - score) over its answered labels in each bin; shape (rows, bins)."""
    row, label = np.nonzero(predicted)
    sure = scores[row, label]
    cells = row * CALIBRATION_BINS + bin_of(sure, CALIBRATION_BINS)
    gap = true[row, label] - sure
    return np.bincount(cells, weights=gap, minlength=len(true) * CALIBRATION_BINS).reshape(len(true), -1)
