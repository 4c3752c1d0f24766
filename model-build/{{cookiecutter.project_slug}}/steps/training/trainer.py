"""What training lowers and watches, and the Trainer with our own order of texts, in passes that fit.

With one target of kind ``one`` the loss is the cross-entropy of its classes, and ``labels`` are ids of shape
(texts,). Otherwise ``labels`` are the head's columns (serving/targets.py), and the loss is the mean over the
targets of each one's negative log-likelihood: the cross-entropy of kind ``one``, the sum of the labels'
binary cross-entropies of kind ``several``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
import transformers

from evaluation import scores
from evaluation.metrics import WATCHED
from serving.targets import Target, columns_of
from training.batches import LengthGroupedSampler
from training.machine import RANKS

Batch = dict[str, torch.Tensor]

MOST = 100.0
"""The highest weight of a rare label's positive texts: a few texts shall not rule the whole."""


class ClassifierTrainer(transformers.Trainer):
    """Trains in passes of a limited size, in the order of ``LengthGroupedSampler``.

    Args:
        tokens_per_pass: how many tokens, padding included, go through the model at once. A larger batch takes
            several passes, whose gradients add up to the batch's own: its effective size stays, the loss
            stays, and only memory is saved. 0: no limit.
        given: what ``transformers.Trainer`` takes.

    Attributes:
        outputs: step -> what the model answered in the evaluation after it, in the order of the evaluation
            set: of the last evaluation and of the best one, if they were in this process.
    """

    def __init__(self, tokens_per_pass: int = 0, **given: Any) -> None:
        super().__init__(**given)
        self.tokens_per_pass = tokens_per_pass
        self.outputs: dict[int, np.ndarray] = {}

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        batch_size = self.args.train_batch_size * RANKS
        steps = math.ceil(len(self.train_dataset) / batch_size)

        def epoch() -> int:
            return int(self.state.global_step // steps)

        return LengthGroupedSampler(self.train_dataset.lengths, batch_size, self.args.seed, epoch)

    def training_step(self, model: Any, inputs: Batch, num_items_in_batch: Any = None) -> torch.Tensor:
        """Add a batch's gradients in as many passes as it takes; return its loss."""
        *first, last = passes(inputs, self.tokens_per_pass)
        if first and num_items_in_batch is None:
            num_items_in_batch = inputs["labels"].numel()  # of the batch: a pass does not know it
        loss = torch.zeros((), device=self.args.device)
        for part in first:
            with self.accelerator.no_sync(model):  # the ranks exchange their gradients once, with the last
                loss += super().training_step(model, part, num_items_in_batch)
        whole: torch.Tensor = super().training_step(model, last, num_items_in_batch)
        return whole + loss if first else whole

    def remember(self, outputs: np.ndarray) -> None:
        """Keep what an evaluation has answered."""
        kept = (self.state.best_global_step,)
        self.outputs = {step: self.outputs[step] for step in kept if step in self.outputs}
        self.outputs[self.state.global_step] = outputs

    def _save_optimizer_and_scheduler(self, output_dir: str) -> None:
        # Twice the weights' size. After the last step nothing continues from it (callbacks.py).
        if self.state.global_step < self.state.max_steps:
            super()._save_optimizer_and_scheduler(output_dir)


def passes(batch: Batch, tokens: int) -> list[Batch]:
    """Return a batch in parts of at most so many tokens, each with little padding; 0: as it is.

    A part has one text at least. The texts stay in order.
    """
    rows, length = batch["input_ids"].shape
    if not tokens or rows * length <= tokens:
        return [batch]
    count = math.ceil(rows / max(1, tokens // length))
    parts = zip(*(tensor.tensor_split(count) for tensor in batch.values()), strict=True)
    return [_trimmed(dict(zip(batch, part, strict=True))) for part in parts]


def _trimmed(batch: Batch) -> Batch:
    longest = -(-int(batch["attention_mask"].sum(dim=1).max()) // 8) * 8  # as a GPU likes it best
    return {name: tensor if name == "labels" else tensor[:, :longest] for name, tensor in batch.items()}


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
        return scores.summary(labels, logits.argmax(axis=1))
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
        return scores.summary(labels.argmax(axis=1), logits.argmax(axis=1))
    return scores.label_summary(labels, logits >= 0)
