"""The Trainer with our own order of texts, batches that fit in memory, and no file that nobody reads."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
import transformers

from batches import LengthGroupedSampler
from progress import RANKS

Batch = dict[str, torch.Tensor]


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
        # Twice the weights' size. After the last step nothing continues from it (checkpoints.py).
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
