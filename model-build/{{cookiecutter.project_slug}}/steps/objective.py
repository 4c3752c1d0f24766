"""What training lowers and what it watches: the loss, the weights of classes, and the validation figures.

With one target of kind ``one`` that is the cross-entropy of its classes, and ``labels`` are ids of shape
(texts,). Otherwise ``labels`` are the head's columns (targets.py), and the loss is the mean over the targets
of each one's negative log-likelihood: the cross-entropy of kind ``one``, the sum of the labels' binary
cross-entropies of kind ``several``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

import metrics
import multilabel
from targets import Target, columns_of

WATCHED = ("accuracy", "macro_f1", "weighted_f1")
"""The validation figures beside the loss; for kind ``several`` accuracy is that all labels are right."""

MOST = 100.0
"""The highest weight of a rare label's positive texts: a few texts shall not rule the whole."""


def is_plain(targets: Sequence[Target]) -> bool:
    """Whether ``labels`` are the ids of one target."""
    return len(targets) == 1 and targets[0].kind == "one"


def class_weights(targets: Sequence[Target], labels: np.ndarray) -> list[torch.Tensor]:
    """Return for each target weights that make rare classes count as much as common ones.

    Of kind ``one`` they are in inverse proportion to the classes' frequencies, and their mean over the texts
    is 1; of kind ``several`` they are for the texts that have a label: how many have it not for each.
    """
    if is_plain(targets):
        return [_inverse(np.bincount(labels, minlength=len(targets[0].labels)))]
    counts = labels.sum(axis=0)
    return [
        _inverse(counts[part])
        if target.kind == "one"
        else torch.from_numpy(
            np.clip((len(labels) - counts[part]) / np.maximum(counts[part], 1), 0, MOST).astype(np.float32)
        )
        for target, part in zip(targets, columns_of(targets), strict=True)
    ]


def _inverse(counts: np.ndarray) -> torch.Tensor:
    present = counts > 0
    weights = np.zeros(len(counts), dtype=np.float32)
    weights[present] = counts.sum() / (present.sum() * counts[present])
    return torch.from_numpy(weights)


def loss_function(
    targets: Sequence[Target], weights: Sequence[torch.Tensor] | None
) -> Callable[..., torch.Tensor]:
    """Return the (weighted) loss in the form that the Trainer calls."""
    plain, parts = is_plain(targets), columns_of(targets)

    def loss(outputs: Any, labels: torch.Tensor, num_items_in_batch: Any = None) -> torch.Tensor:
        logits = outputs["logits"].float()
        each = [None] * len(targets) if weights is None else [weight.to(logits.device) for weight in weights]
        # In training the Trainer counts the labels of all ranks; in evaluation there is only this batch.
        count = labels.numel() if num_items_in_batch is None else num_items_in_batch
        if plain:
            return F.cross_entropy(logits, labels, weight=each[0], reduction="sum") / count
        total = torch.stack(
            [
                F.cross_entropy(
                    logits[:, part], labels[:, part].argmax(dim=1), weight=weight, reduction="sum"
                )
                if target.kind == "one"
                else F.binary_cross_entropy_with_logits(
                    logits[:, part], labels[:, part], pos_weight=weight, reduction="sum"
                )
                for target, part, weight in zip(targets, parts, each, strict=True)
            ]
        ).sum()
        return total * labels.shape[1] / (count * len(targets))

    return loss


def figures(targets: Sequence[Target], labels: np.ndarray, logits: np.ndarray) -> dict[str, float]:
    """Return the means over the targets of what is watched, and with several each one's ``target.figure``."""
    if is_plain(targets):
        return metrics.summary(labels, logits.argmax(axis=1))
    of_each = {
        target.name: _figures(target, labels[:, part].astype(bool), logits[:, part])
        for target, part in zip(targets, columns_of(targets), strict=True)
    }
    means = {name: float(np.mean([each[name] for each in of_each.values()])) for name in WATCHED}
    if len(targets) == 1:
        return means
    single = {f"{target}.{name}": each[name] for target, each in of_each.items() for name in WATCHED}
    return {**means, **single}


def _figures(target: Target, labels: np.ndarray, logits: np.ndarray) -> dict[str, float]:
    if target.kind == "one":
        return metrics.summary(labels.argmax(axis=1), logits.argmax(axis=1))
    found = multilabel.summary(labels, logits >= 0)
    return {"accuracy": found["exact_match"], **{name: found[name] for name in WATCHED[1:]}}
