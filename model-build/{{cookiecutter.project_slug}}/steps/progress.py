"""What a training shows: calm lines, the same in a terminal and in a log, some of which SageMaker reads."""

from __future__ import annotations

import math
import os
import time
import warnings
from collections.abc import Sequence
from typing import Any

import transformers
from transformers import TrainerCallback

from failure import StepError

RANK = int(os.environ.get("RANK", "0"))
RANKS = int(os.environ.get("WORLD_SIZE", "1"))

VALIDATION = ("loss", "accuracy", "macro_f1", "weighted_f1")
"""The figures in the line of an evaluation, in their order."""


def say(line: str) -> None:
    """Print a line at once, from rank 0."""
    if RANK == 0:
        print(line, flush=True)


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
        say(f"  {step}: train:loss={logs['loss']:.4f}; {speed:.0f} texts/s, at most {left} left")

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
        values = " ".join(f"validation:{name}={metrics[f'eval_{name}']:.4f};" for name in VALIDATION)
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
