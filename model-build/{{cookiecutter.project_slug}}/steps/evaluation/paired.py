"""Two models' answers to one target, on the same rows: figures, classes, and the rows that changed.

The interval is that of the difference (paired bootstrap): both models are measured on the same drawn rows
(Efron and Tibshirani, 1993; Koehn, 2004). It is narrower than what two separate intervals suggest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from evaluation import metrics
from evaluation.measure import Predictions
from serving.targets import Target

EXAMPLES = 20
"""How many rows are shown of those that became right, and of those that became wrong."""


class Pairs(NamedTuple):
    """Labels of rows as (row, label id) pairs: none, one or several for a row."""

    rows: np.ndarray
    labels: np.ndarray


def compare_target(
    candidate: Predictions,
    live: Target,
    live_answers: Sequence[Mapping[str, Sequence[str]]],
    chosen: np.ndarray,
    texts: Sequence[str],
    rows: Sequence[int],
    repeats: int,
    seed: int,
) -> dict[str, Any]:
    """Compare both models' answers to one target, on the chosen rows; other arguments as in ``compare``."""
    target = candidate.target
    # Several labels hold if either model may answer several; a label that only one of them knows counts.
    kind = "several" if "several" in (target.kind, live.kind) else "one"
    only_live = [label for label in live.labels if label not in target.labels]
    labels = [*target.labels, *only_live]
    ids = {label: index for index, label in enumerate(labels)}
    place = {int(row): index for index, row in enumerate(chosen)}
    truth = _pairs(candidate.true[chosen])
    new = _pairs(candidate.predicted[chosen])
    found = [
        (place[int(row)], ids[label])
        for row in chosen
        for label in live_answers[int(row)][live.name]
        if label in ids
    ]
    old = Pairs(*np.asarray(found, dtype=np.int64).reshape(-1, 2).T)
    both = _Both(truth, old, new, len(chosen), len(labels))
    values = [both.figures(model, kind, np.ones(len(chosen))) for model in (0, 1)]
    intervals = both.intervals(kind, repeats, seed)
    return {
        "kind": kind,
        "figures": {
            metric: {
                "live": values[0][metric],
                "candidate": values[1][metric],
                "difference": values[1][metric] - values[0][metric],
                "confidence_interval": intervals[metric],
            }
            for metric in metrics.names(kind, "comparison")
        },
        "classes": _classes(both, labels),
        "labels": {
            "only_live": only_live,
            "only_candidate": [label for label in target.labels if label not in live.labels],
        },
        "changed": both.changed(),
        "examples": _examples(both, candidate, labels, chosen, texts, rows),
    }


class _Both:
    """The truth and both models' answers, the live one's first, and which of them are right."""

    def __init__(self, truth: Pairs, old: Pairs, new: Pairs, rows: int, labels: int) -> None:
        self.truth, self.answers, self.rows, self.labels = truth, (old, new), rows, labels
        keys = truth.rows * labels + truth.labels
        self.hits = [np.isin(each.rows * labels + each.labels, keys) for each in self.answers]
        wanted = np.bincount(truth.rows, minlength=rows)
        self.right = []
        for each, hit in zip(self.answers, self.hits, strict=True):
            answered = np.bincount(each.rows, minlength=rows)
            hit_rows = np.bincount(each.rows[hit], minlength=rows)
            self.right.append((answered == wanted) & (hit_rows == wanted))

    def counts(self, model: int, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return of each label the weight of rows where it was found rightly, answered, and true."""
        answer, hit = self.answers[model], self.hits[model]
        weight = weights[answer.rows]
        return (
            np.bincount(answer.labels, weight * hit, self.labels),
            np.bincount(answer.labels, weight, self.labels),
            np.bincount(self.truth.labels, weights[self.truth.rows], self.labels),
        )

    def figures(self, model: int, kind: str, weights: np.ndarray) -> dict[str, float]:
        """Return a model's figures, where each row counts as often as its weight says."""
        hits, answered, true = self.counts(model, weights)
        right = float((weights * self.right[model]).sum() / weights.sum())
        occurs = answered + true > 0
        macro = float(np.mean(2 * hits[occurs] / (answered + true)[occurs])) if occurs.any() else 0.0
        if kind == "one":
            return {"accuracy": right, "macro_f1": macro}
        total = float(answered.sum() + true.sum())
        micro = 2 * float(hits.sum()) / total if total else 1.0
        return {"exact_match": right, "micro_f1": micro, "macro_f1": macro}

    def intervals(self, kind: str, repeats: int, seed: int) -> dict[str, list[float]]:
        """Return the 95 % interval of each figure's difference, new less old, on the same draws."""
        random = np.random.default_rng(seed)
        draws: dict[str, list[float]] = {metric: [] for metric in metrics.names(kind, "comparison")}
        for _ in range(min(repeats, max(200, 100_000_000 // max(1, self.rows)))):
            drawn = random.integers(0, self.rows, self.rows)
            weights = np.bincount(drawn, minlength=self.rows).astype(np.float64)
            old, new = (self.figures(model, kind, weights) for model in (0, 1))
            for metric, values in draws.items():
                values.append(new[metric] - old[metric])
        if not repeats:
            old, new = (self.figures(model, kind, np.ones(self.rows)) for model in (0, 1))
            return {metric: [new[metric] - old[metric]] * 2 for metric in draws}
        return {
            metric: [float(bound) for bound in np.percentile(values, [2.5, 97.5])]
            for metric, values in draws.items()
        }

    def changed(self) -> dict[str, int]:
        """Return how many rows became right, became wrong, and are wrong in both."""
        old, new = self.right
        return {
            "fixed": int((~old & new).sum()),
            "broken": int((old & ~new).sum()),
            "both_right": int((old & new).sum()),
            "both_wrong": int((~old & ~new).sum()),
        }


def _pairs(answers: np.ndarray) -> Pairs:
    if answers.ndim == 1:
        return Pairs(np.arange(len(answers)), answers.astype(np.int64))
    return Pairs(*(each.astype(np.int64) for each in np.nonzero(answers)))


def _classes(both: _Both, labels: Sequence[str]) -> list[dict[str, Any]]:
    """Return F1, recall and precision of each class with both models; the greatest loss first."""
    ones = np.ones(both.rows)
    scores = []
    for model in (0, 1):
        hits, answered, true = both.counts(model, ones)
        scores.append(
            {"f1": _ratio(2 * hits, answered + true), "recall": _ratio(hits, true), "hits": hits}
            | {"precision": _ratio(hits, answered), "rows": true, "occurs": answered + true > 0}
        )
    old, new = scores
    classes = [
        {
            "label": label,
            "rows": int(new["rows"][index]),
            "difference": float(new["f1"][index] - old["f1"][index]),
            "live": {name: float(old[name][index]) for name in ("f1", "precision", "recall")},
            "candidate": {name: float(new[name][index]) for name in ("f1", "precision", "recall")},
            "found_more": int(new["hits"][index] - old["hits"][index]),
        }
        for index, label in enumerate(labels)
        if old["occurs"][index] or new["occurs"][index]
    ]
    return sorted(classes, key=lambda each: each["difference"])


def _examples(
    both: _Both,
    candidate: Predictions,
    labels: Sequence[str],
    chosen: np.ndarray,
    texts: Sequence[str],
    rows: Sequence[int],
) -> dict[str, list[dict[str, Any]]]:
    """Return rows that became right and wrong, those first of which the new model is surest."""
    old, new = both.right
    confidence = candidate.confidence[chosen]
    names = [_names(pairs, labels) for pairs in (both.truth, *both.answers)]
    found = {}
    for word, where in (("fixed", ~old & new), ("broken", old & ~new)):
        indices = np.flatnonzero(where)
        indices = indices[np.argsort(-confidence[indices], kind="stable")][:EXAMPLES]
        found[word] = [
            {
                "row": int(rows[int(chosen[index])]),
                "label": names[0].get(int(index), ""),
                "live": names[1].get(int(index), ""),
                "candidate": names[2].get(int(index), ""),
                "confidence": float(confidence[index]),
                "text": texts[int(chosen[index])],
            }
            for index in indices
        ]
    return found


def _names(pairs: Pairs, labels: Sequence[str]) -> dict[int, str]:
    names: dict[int, str] = {}
    for row, label in zip(pairs.rows.tolist(), pairs.labels.tolist(), strict=True):
        names[row] = f"{names[row]}; {labels[label]}" if row in names else labels[label]
    return names


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    result: np.ndarray = np.divide(part, whole, out=np.zeros(len(whole)), where=whole > 0)
    return result
