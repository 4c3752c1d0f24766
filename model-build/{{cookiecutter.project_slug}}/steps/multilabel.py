"""How good predictions are where a text may have any number of labels.

Every score follows scikit-learn's definition for multilabel indicators with ``zero_division=0``; the macro
averages are, as in metrics.py, over the labels that occur among the true or the predicted ones.
"""

from __future__ import annotations

import numpy as np

from metrics import (
    CALIBRATION_BINS,
    Calibration,
    ClassScores,
    Estimate,
    averages,
    bin_of,
    calibration,
    drawn_weights,
    f_beta,
    ratio,
    with_intervals,
)

KEPT = ("macro_precision", "macro_recall", "macro_f1", "weighted_f1")
"""Averages that mean the same as for one label."""


def label_scores(true: np.ndarray, predicted: np.ndarray) -> ClassScores:
    """Return precision, recall, F1 and support of each label, from bools of shape (rows, labels)."""
    hits, found, support = (true & predicted).sum(axis=0), predicted.sum(axis=0), true.sum(axis=0)
    return ClassScores(ratio(hits, found), ratio(hits, support), f_beta(hits, found, support, 1.0), support)


def label_calibration(true: np.ndarray, predicted: np.ndarray, scores: np.ndarray) -> Calibration:
    """Compare the scores of the labels that were answered with how often these hold."""
    return calibration(scores[predicted], true[predicted])


def summary(true: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    """Return exact match, micro, macro and weighted F1: what training watches."""
    figures = _figures(true, predicted, np.ones((1, len(true))))
    return {name: float(figures[name][0]) for name in ("exact_match", "micro_f1", "macro_f1", "weighted_f1")}


def estimates(
    true: np.ndarray, predicted: np.ndarray, scores: np.ndarray, repeats: int, seed: int
) -> dict[str, Estimate]:
    """Return every figure with its bootstrap interval, as ``metrics.estimates`` does.

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
