"""What happens between the steps of a training: lines that show how it goes, and checkpoints.

The lines are calm, the same in a terminal and in a log, and SageMaker reads the figures of some. SIGTERM
saves a checkpoint and ends the training; the next start continues there.
"""

from __future__ import annotations

import hashlib
import json
import math
import signal
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import TrainerCallback

from evaluation.metrics import VALIDATION, logged
from failure import StepError
from training.machine import say


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
    missing. That of a finished training has no optimizer (trainer.py): nothing is left to do but the model.
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
