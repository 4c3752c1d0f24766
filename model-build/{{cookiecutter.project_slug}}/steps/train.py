"""Fine-tune a pretrained encoder to classify texts: the training step.

In SageMaker every default is right, and hyperparameters arrive as ``--key value``. By hand::

    python train.py --train sets/train --validation sets/validation --base-model MODEL \
        --model-dir model --checkpoint-dir checkpoints --output-data-dir output

On several GPUs or machines start it with ``torchrun``; only rank 0 writes. SIGTERM saves a checkpoint and
ends the process with exit code 0 and without a model; the same command again continues from there
(training/trainer.py).

What it does, in this order, with the modules of training/: check the sets against each other, load the base
model and tokenise once (inputs.py), choose the number format (machine.py), train (trainer.py) with an
evaluation after every epoch, and write the best epoch's model with what serving needs (packing/model.py).
"""

from __future__ import annotations

import json
import math
import os
import random
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from training import start_up

os.environ.update(start_up.variables(os.environ))
if __name__ == "__main__":
    start_up.before_loading()

import numpy as np
import torch
import transformers

from data.examples import same_labels
from evaluation.metrics import VALIDATION
from failure import StepError, run
from packing.model import check_library, head_columns, write_model
from serving.targets import Target, column_names
from training.inputs import TokenisedTexts, collator, load_base_model
from training.machine import RANK, RANKS, measure_once, once_a_machine, part, say
from training.settings import Settings, parse
from training.trainer import (
    ClassifierTrainer,
    Progress,
    StopOnSigterm,
    class_weights,
    figures,
    last_complete,
    loss_function,
    quieten,
    run_folder,
)


def main(arguments: list[str] | None = None) -> int:
    """Train as the command line says; return the exit code."""
    settings = parse(arguments, (__doc__ or "").splitlines()[0])
    quieten()
    say(f"transformers {transformers.__version__}, torch {torch.__version__}, {machine()}")

    label_set = same_labels(settings.train, settings.validation)
    check_library(label_set)  # that it is missing is said before hours of training
    seed_everything(settings.seed)
    settings.check_targets([target.name for target in label_set.targets])
    model, tokenizer = load_base_model(settings.base_model, label_set.targets, settings.max_length)
    say(f"base model {settings.base_model}: {model.num_parameters() / 1e6:.1f} million parameters")
    started = time.perf_counter()
    train, validation = once_a_machine(
        lambda: [
            TokenisedTexts.read(
                folder, label_set.targets, tokenizer, settings.max_length, settings.truncation
            )
            for folder in (settings.train, settings.validation)
        ]
    )
    say(f"tokenised in {time.perf_counter() - started:.1f} s")
    describe_sets(train, validation, label_set.targets, settings.max_length)

    folder = run_folder(settings.checkpoint_dir, {"ranks": RANKS, **settings.identity()}, settings.train)
    stop = StopOnSigterm(RANKS)
    trainer = make_trainer(settings, folder, model, tokenizer, label_set.targets, train, validation, stop)
    checkpoint = last_complete(folder)
    if checkpoint:
        say(f"continuing from {checkpoint}")
    try:
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    except torch.OutOfMemoryError:
        raise StepError(
            f"the GPU has too little memory for batches of {settings.batch_size} texts of up to "
            f"{settings.max_length} tokens: set tokens_per_pass, lower batch_size or max_length, or take a "
            "larger instance"
        ) from None
    if stop.stopped:
        state = trainer.state
        say(f"stopped on SIGTERM after step {state.global_step} of {state.max_steps}, no model written")
        say(f"checkpoint saved in {folder}: the same command again continues from it")
        part()
        return 0

    if RANK == 0:
        trained = trainer.accelerator.unwrap_model(trainer.model)
        logits = known_logits(trainer, validation)
        write_model(trained, tokenizer, settings, label_set, train, validation, logits)
        write_history(settings.output_data_dir, trainer)
        say(f"model of epoch {best_epoch(trainer)} written to {settings.model_dir}")
    part()
    return 0


def seed_everything(seed: int) -> None:
    """Make two trainings on the same machine give the same weights."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    # warn_only: a model with an operation that has no deterministic variant is better trained than refused.
    torch.use_deterministic_algorithms(True, warn_only=True)
    # Filling fresh memory finds bugs, and costs time; no result depends on it.
    torch.utils.deterministic.fill_uninitialized_memory = False


def describe_sets(
    train: TokenisedTexts, validation: TokenisedTexts, targets: Sequence[Target], most: int
) -> None:
    """Say how large the sets are, how long their texts, and which classes have no example."""
    cut = np.mean(train.lengths >= most)
    classes = ", ".join(
        f"{len(target.labels)} {'labels' if target.kind == 'several' else 'classes'}"
        + (f" of {target.name}" if len(targets) > 1 else "")
        for target in targets
    )
    say(f"{len(train)} texts to train on, {len(validation)} to validate, {classes}")
    say(f"median {np.median(train.lengths):.0f} tokens; {cut:.0%} of the texts have {most} or were cut to it")
    counts = head_columns(targets, train.labels).sum(axis=0).tolist()
    absent = [name for name, count in zip(column_names(targets), counts, strict=True) if not count]
    if absent:
        say(f"note: no text to train on for {', '.join(absent)}")


def make_trainer(
    settings: Settings,
    folder: Path,
    model: Any,
    tokenizer: Any,
    targets: Sequence[Target],
    train: TokenisedTexts,
    validation: TokenisedTexts,
    stop: StopOnSigterm,
) -> ClassifierTrainer:
    """Put the training together."""
    steps = settings.epochs * math.ceil(len(train) / (settings.batch_size * RANKS))
    collate = collator(tokenizer.pad_token_id or 0, multiple=8 if torch.cuda.is_available() else 1)
    weights = class_weights(targets, train.labels) if settings.class_weights != "none" else None
    precision, tokens_per_pass = measure_once(settings, folder, model, collate, train, steps)
    arguments = transformers.TrainingArguments(
        output_dir=str(folder),
        num_train_epochs=settings.epochs,
        per_device_train_batch_size=settings.batch_size,
        per_device_eval_batch_size=2 * settings.batch_size,
        learning_rate=settings.learning_rate,
        weight_decay=settings.weight_decay,
        warmup_steps=math.ceil(settings.warmup_ratio * steps),
        bf16=precision == "bf16",
        fp16=precision == "fp16",
        use_cpu=not torch.cuda.is_available(),
        optim="adamw_torch_fused",  # a quarter of the plain one's time, on a CPU as on a GPU
        eval_strategy="epoch",
        save_strategy="epoch",
        save_total_limit=2,  # the best and the newest
        load_best_model_at_end=True,
        metric_for_best_model=settings.early_stopping_metric,
        greater_is_better=settings.early_stopping_metric != "loss",
        restore_callback_states_from_checkpoint=True,  # how much of the patience is used up
        remove_unused_columns=False,
        label_names=["labels"],
        logging_steps=10,
        seed=settings.seed,
        disable_tqdm=True,
        report_to="none",
    )

    def watch(prediction: Any) -> dict[str, float]:
        trainer.remember(prediction.predictions)
        return figures(targets, prediction.label_ids, prediction.predictions)

    trainer = ClassifierTrainer(
        tokens_per_pass=tokens_per_pass,
        model=model,
        args=arguments,
        train_dataset=train,
        eval_dataset=validation.by_length(),
        data_collator=collate,
        compute_loss_func=loss_function(targets, weights),
        compute_metrics=watch,
        callbacks=[
            transformers.EarlyStoppingCallback(early_stopping_patience=settings.early_stopping_patience),
            Progress(len(train), [target.name for target in targets]),
            stop,
        ],
    )
    trainer.remove_callback(transformers.PrinterCallback)
    return trainer


def known_logits(trainer: ClassifierTrainer, validation: TokenisedTexts) -> np.ndarray | None:
    """Return what the best model answered in its evaluation, in the validation set's order, if serving's
    answers are the same: from one process, not rounded to 16 bits.
    """
    found = trainer.outputs.get(trainer.state.best_global_step)
    if found is None or RANKS > 1 or trainer.args.bf16 or trainer.args.fp16 or trainer.args.n_gpu > 1:
        return None
    logits = np.empty_like(found)
    logits[validation.order] = found
    return logits


def machine() -> str:
    """Return what it runs on, in a few words."""
    ranks = f", {RANKS} ranks" if RANKS > 1 else ""
    if torch.cuda.is_available():
        return f"{torch.cuda.device_count()} x {torch.cuda.get_device_name()}{ranks}"
    return f"CPU, {torch.get_num_threads()} threads{ranks}"


def write_history(folder: Path, trainer: ClassifierTrainer) -> None:
    """Write ``training.json``: every epoch's figures, which epoch was best, and on what it ran."""
    state = trainer.state
    epochs: list[dict[str, Any]] = [
        {
            "epoch": round(entry["epoch"]),
            "step": entry["step"],
            **{name: entry[f"eval_{name}"] for name in VALIDATION},
            **of_targets(entry),
        }
        for entry in state.log_history
        if "eval_loss" in entry
    ]
    content = {
        "best_epoch": best_epoch(trainer),
        "best_metric": {trainer.args.metric_for_best_model: state.best_metric},
        "precision": "bf16" if trainer.args.bf16 else "fp16" if trainer.args.fp16 else "fp32",
        "machine": machine(),
        "epochs": epochs,
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "training.json").write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def of_targets(entry: dict[str, float]) -> dict[str, Any]:
    """Return ``targets``: target -> figure -> value of an evaluation; nothing with one target."""
    found: dict[str, dict[str, float]] = {}
    for name, value in entry.items():
        target, _, figure = name.removeprefix("eval_").partition(".")
        if figure:
            found.setdefault(target, {})[figure] = value
    return {"targets": found} if found else {}


def best_epoch(trainer: ClassifierTrainer) -> int:
    """Return the number, from 1, of the epoch whose model is kept."""
    state = trainer.state
    epoch: int = round(state.best_global_step * state.num_train_epochs / state.max_steps)
    return epoch


if __name__ == "__main__":
    start_up.after_loading()
    sys.exit(run(main, Path(os.environ.get("SM_OUTPUT_DIR", "/opt/ml/output"), "failure")))
