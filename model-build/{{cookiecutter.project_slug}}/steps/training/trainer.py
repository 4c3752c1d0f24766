"""What training lowers and watches, the Trainer with our own order of texts, and its callbacks.

With one target of kind ``one`` the loss is the cross-entropy of its classes, and ``labels`` are ids of shape
(texts,). Otherwise ``labels`` are the head's columns (serving/targets.py), and the loss is the mean over the
targets of each one's negative log-likelihood: the cross-entropy of kind ``one``, the sum of the labels'
binary cross-entropies of kind ``several``.

Between the steps there are lines that show how it goes, and checkpoints. The lines are calm, the same in a
terminal and in a log, and SageMaker reads the figures of some. SIGTERM saves a checkpoint and ends the
training; the next start continues there.
"""

from __future__ import annotations

import hashlib
import json
import math
import signal
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
import transformers
from transformers import TrainerCallback

from evaluation import scores
from evaluation.metrics import VALIDATION, WATCHED, logged
from failure import StepError
from serving.targets import Target, columns_of
from training.inputs import LengthGroupedSampler
from training.machine import RANKS, say

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
        # Twice the weights' size. After the last step nothing continues from it (``last_complete``).
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


def quieten() -> None:
    """Keep the libraries' progress bars and advice out of the log."""
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    # On memory pinning, on gathered scalars, and on operations that have no deterministic variant.
    warnings.filterwarnings("ignore", module=r"torch\.|transformers\.|accelerate\.")


class Progress(TrainerCallback):
    """A line now and then while training, and one for each evaluation.

    Args:
        texts: in the training set, for the speed.
        targets: their names; with several each one's figures are shown.
    """

    SECONDS = 10.0
    """Between two lines."""

    def __init__(self, texts: int, targets: Sequence[str] = ()) -> None:
        self.texts = texts
        self.targets = targets if len(targets) > 1 else ()
        self.first_step = 0
        self.started = self.shown = time.monotonic()

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Start the clock."""
        self.first_step = state.global_step
        self.started = self.shown = time.monotonic()
        after = f", continued after step {state.global_step}" if state.global_step else ""
        say(f"training: at most {state.num_train_epochs} epochs, {state.max_steps} steps{after}")

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float], **_: Any) -> None:
        """Show step, loss, speed and the time that is left."""
        if "loss" not in logs or time.monotonic() - self.shown < self.SECONDS:
            return
        self.shown = time.monotonic()
        seconds = (self.shown - self.started) / max(1, state.global_step - self.first_step)
        speed = self.texts * state.num_train_epochs / state.max_steps / seconds
        left = duration(seconds * (state.max_steps - state.global_step))
        step = f"step {state.global_step} of {state.max_steps}"
        say(f"  {step}: {logged('train:loss', logs['loss'])} {speed:.0f} texts/s, at most {left} left")

    def on_evaluate(self, args: Any, state: Any, control: Any, metrics: dict[str, float], **_: Any) -> None:
        """Show the validation set's figures.

        Raises:
            StepError: the loss is not a number, from which no training recovers.
        """
        if not math.isfinite(metrics["eval_loss"]):
            raise StepError(
                f"the training diverged: the loss is {metrics['eval_loss']} after epoch {state.epoch:.0f}; "
                f"lower learning_rate (now {args.learning_rate:g}), or set precision to fp32"
            )
        values = " ".join(logged(f"validation:{name}", metrics[f"eval_{name}"]) for name in VALIDATION)
        say(f"epoch {state.epoch:.0f} of {state.num_train_epochs}: {values}")
        for target in self.targets:
            accuracy, macro_f1 = (metrics[f"eval_{target}.{name}"] for name in ("accuracy", "macro_f1"))
            say(f"  {target}: accuracy {accuracy:.4f}, macro F1 {macro_f1:.4f}")


def duration(seconds: float) -> str:
    """Return ``45 s``, ``3 min 20 s`` or ``2 h 5 min``."""
    minutes, rest = divmod(round(seconds), 60)
    if minutes >= 60:
        return f"{minutes // 60} h {minutes % 60} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def run_folder(checkpoints: Path, settings: dict[str, Any], data: Path) -> Path:
    """Return the folder for the checkpoints of the training that these settings and this data make.

    Its name is a hash of both. A restart of the same training finds its own checkpoints, and a training with
    other settings that was given the same ``--checkpoint-dir`` neither continues from them nor deletes them.
    """
    whole = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    for path in sorted(data.iterdir()):
        if path.is_file():
            with path.open("rb") as file:
                whole.update(hashlib.file_digest(file, "sha256").digest())
    return checkpoints / whole.hexdigest()[:16]


def last_complete(folder: Path) -> Path | None:
    """Return the newest checkpoint that has all its parts, or None.

    A process that is killed while it saves, or a copy to S3 that was cut off, leaves a checkpoint with parts
    missing. That of a finished training has no optimizer: nothing is left to do but the model.
    """
    found = [
        path for path in folder.glob("checkpoint-*") if path.name.removeprefix("checkpoint-").isdecimal()
    ]
    for path in sorted(found, key=lambda path: int(path.name.removeprefix("checkpoint-")), reverse=True):
        state = _state(path)
        if state is None or not any(path.glob("rng_state*.pth")):
            continue
        finished = state["global_step"] >= state["max_steps"]
        parts = ("model.safetensors",) if finished else ("model.safetensors", "optimizer.pt", "scheduler.pt")
        if all((path / part).is_file() for part in parts):
            return path
    return None


def _state(checkpoint: Path) -> dict[str, Any] | None:
    """Return what is in the file that the Trainer writes last; None if it is not there or not whole."""
    try:
        state: dict[str, Any] = json.loads((checkpoint / "trainer_state.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return state


class StopOnSigterm(TrainerCallback):
    """Saves a checkpoint at the end of the step in which SIGTERM arrives, and ends the training.

    SageMaker sends SIGTERM two minutes before a spot interruption and when a job is stopped or runs out of
    time. A stop at the very end of an epoch waits for that epoch's own evaluation and checkpoint, so that no
    evaluation is lost.

    Attributes:
        stopped: the training was ended before its time.
    """

    def __init__(self, ranks: int) -> None:
        self.ranks = ranks
        self.requested = False
        self.stopped = False
        signal.signal(signal.SIGTERM, self._request)

    def _request(self, *_: object) -> None:
        self.requested = True

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Find the best checkpoint of a resumed training again: the path in its state may have moved."""
        best = Path(args.output_dir, f"checkpoint-{state.best_global_step}")
        if state.best_global_step and best.is_dir():
            state.best_model_checkpoint = str(best)

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Stop, and save at once unless the epoch is complete."""
        if state.global_step < state.max_steps and self._agreed(args):
            self.stopped = control.should_training_stop = True
            control.should_save = not _epoch_complete(state)

    def on_epoch_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Skip the evaluation and the second checkpoint of an epoch that is not complete."""
        if self.stopped and not _epoch_complete(state):
            control.should_evaluate = control.should_save = control.should_log = False

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Stop when SIGTERM came during an evaluation or while this checkpoint was written."""
        if not self.stopped and state.global_step < state.max_steps and self._agreed(args):
            self.stopped = control.should_training_stop = True

    def _agreed(self, args: Any) -> bool:
        """Whether any rank was told to stop; if not all stop at the same step, the others wait for ever."""
        if self.ranks == 1:
            return self.requested
        flag = torch.tensor(int(self.requested), device=args.device)
        torch.distributed.all_reduce(flag, torch.distributed.ReduceOp.MAX)
        return bool(flag.item())


def _epoch_complete(state: Any) -> bool:
    return bool(state.global_step * state.num_train_epochs % state.max_steps == 0)
