"""Fine-tune a pretrained encoder to classify texts: the training step.

In SageMaker every default is right, and hyperparameters arrive as ``--key value``. By hand::

    python train.py --train sets/train --validation sets/validation --model-dir model --base-model MODEL \
        --checkpoint-dir checkpoints --output-data-dir output

On several GPUs or machines start it with ``torchrun``; only rank 0 writes. SIGTERM saves a checkpoint and exits with 0 and
without a model; the same command again continues from there (checkpoints.py).

What it does, in this order: check the sets against each other, load the base model, tokenise once, choose the number format,
train with an evaluation after every epoch, keep the best epoch, write what serving needs.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import shutil
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

# Before torch: cuBLAS reads it when CUDA starts, and needs it to be deterministic.
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
# Before transformers: a job says nothing about itself to the hub.
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")

import numpy as np
import torch
import torch.nn.functional as F
import transformers
from batches import LabelSet, LengthGroupedSampler, TokenisedTexts, collator, same_labels
from checkpoints import SETTINGS_FILE, StopOnSigterm, last_complete, run_folder
from failure import StepError, run
from metrics import summary
from precision import choose_precision
from texts import POLICIES
from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer

METRIC_DEFINITIONS = [
    {"Name": "train:loss", "Regex": r"train:loss=([0-9.eE+-]+);"},
    {"Name": "validation:loss", "Regex": r"validation:loss=([0-9.eE+-]+);"},
    {"Name": "validation:accuracy", "Regex": r"validation:accuracy=([0-9.eE+-]+);"},
    {"Name": "validation:macro_f1", "Regex": r"validation:macro_f1=([0-9.eE+-]+);"},
    {"Name": "validation:weighted_f1", "Regex": r"validation:weighted_f1=([0-9.eE+-]+);"},
]
"""What SageMaker collects from the lines that this script prints: ``AlgorithmSpecification.MetricDefinitions`` of the
training job. A plain literal, so that it can be read without importing torch."""

STOPPING_METRICS = ("accuracy", "macro_f1", "weighted_f1", "loss")

RANK = int(os.environ.get("RANK", "0"))
RANKS = int(os.environ.get("WORLD_SIZE", "1"))


def main() -> int:
    """Train as the command line says; return the exit code."""
    settings = parse_arguments()
    quieten()
    say(f"transformers {transformers.__version__}, torch {torch.__version__}, {machine()}")

    label_set = same_labels(settings.train, settings.validation)
    model, tokenizer = load_base_model(settings, label_set.labels)
    started = time.perf_counter()
    sets = (settings.train, settings.validation)
    train, validation = (
        TokenisedTexts.read(folder, label_set.labels, tokenizer, settings.max_length, settings.truncation)
        for folder in sets
    )
    validation = validation.by_length()
    describe_sets(train, validation, label_set.labels, settings.max_length, time.perf_counter() - started)

    trainer, stop = make_trainer(settings, model, tokenizer, train, validation)
    checkpoint = last_complete(Path(trainer.args.output_dir))
    if checkpoint:
        say(f"continuing from {checkpoint}")
    try:
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    except torch.OutOfMemoryError:
        raise StepError(
            f"the GPU has too little memory for batches of {settings.batch_size} texts of {settings.max_length} tokens: "
            "lower batch_size or max_length, or take a larger instance"
        ) from None
    if stop.stopped:
        say(f"stopped on SIGTERM after step {trainer.state.global_step} of {trainer.state.max_steps}; no model written")
        say(f"checkpoint saved in {trainer.args.output_dir}: the same command again continues from it")
        return 0

    if RANK == 0:
        write_model(settings.model_dir, trainer.accelerator.unwrap_model(trainer.model), tokenizer, settings, label_set)
        write_history(settings.output_data_dir, trainer)
        say(f"model of epoch {best_epoch(trainer)} written to {settings.model_dir}")
    return 0


# --- settings -----------------------------------------------------------------------------------------------------------------


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line; the defaults are SageMaker's paths.

    Raises:
        StepError: a value is missing or out of range.
    """

    class Parser(argparse.ArgumentParser):
        def error(self, message: str) -> NoReturn:
            raise StepError(f"{message} (see --help)")

    def channel(name: str) -> str | None:
        return os.environ.get(f"SM_CHANNEL_{name}")

    def number(kind: type, least: float, most: float = math.inf, above: bool = False) -> Callable[[str], Any]:
        def convert(text: str) -> Any:
            try:
                value = kind(text)
            except ValueError:
                value = None
            if value is None or not (least < value if above else least <= value) or not value <= most:
                what = "a whole number" if kind is int else "a number"
                limit = f"{'above' if above else 'from'} {least:g}" + (f" to {most:g}" if most < math.inf else "")
                raise argparse.ArgumentTypeError(f"expected {what} {limit}, got {text!r}")
            return value

        return convert

    parser = Parser(description=(__doc__ or "").splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    add = parser.add_argument
    add("--train", type=Path, default=channel("TRAIN"), help="folder with data.parquet and labels.json")
    add("--validation", type=Path, default=channel("VALIDATION"), help="folder with data.parquet and labels.json")
    add("--model-dir", type=Path, default=os.environ.get("SM_MODEL_DIR", "/opt/ml/model"), help="where the model goes")
    add("--checkpoint-dir", type=Path, default="/opt/ml/checkpoints", help="kept between restarts of a spot job")
    output_data = os.environ.get("SM_OUTPUT_DATA_DIR", "/opt/ml/output/data")
    add("--output-data-dir", type=Path, default=output_data, help="where training.json goes")
    add("--base-model", default=channel("BASE_MODEL"), help="folder, or id on the Hugging Face hub")
    add("--epochs", type=number(int, 1), default=20, help="at most; early stopping may end before")
    add("--batch-size", type=number(int, 1), default=16, help="texts in a batch of one process")
    add("--learning-rate", type=number(float, 0, 1, above=True), default=1e-4, help="highest, after the warm-up")
    add("--weight-decay", type=number(float, 0, 1), default=0.01, help="of AdamW")
    add("--warmup-ratio", type=number(float, 0, 1), default=0.1, help="share of the steps with a rising learning rate")
    add("--max-length", type=number(int, 8), default=256, help="tokens that the model reads, special ones included")
    add("--truncation", choices=POLICIES, default="head_tail", help="which part of a longer text is kept")
    add("--class-weights", choices=("none", "balanced"), default="none", help="balanced: rare classes count more")
    add("--early-stopping-metric", choices=STOPPING_METRICS, default="macro_f1", help="of the validation set")
    add("--early-stopping-patience", type=number(int, 1), default=4, help="epochs without improvement before the end")
    add("--precision", choices=("auto", "fp32", "bf16", "fp16"), default="auto", help="number format of the training")
    add("--seed", type=number(int, 0, 2**31 - 1), default=13, help="of everything random")
    settings = parser.parse_args(arguments)
    for name in ("train", "validation", "base_model"):
        if not getattr(settings, name):
            parser.error(f"--{name.replace('_', '-')} is missing, and so is SM_CHANNEL_{name.upper()}")
    return settings


def quieten() -> None:
    """Leave the output to our own calm lines: no progress bars, no advice of libraries."""
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    # Advice on memory pinning, on gathered scalars and on operations without a deterministic variant.
    warnings.filterwarnings("ignore", module=r"torch\.|transformers\.|accelerate\.")


def seed_everything(seed: int) -> None:
    """Make two trainings on the same machine give the same weights."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    # warn_only: a model may use an operation that has no deterministic variant, and is better trained than refused.
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # only finds bugs, and is slow


# --- model --------------------------------------------------------------------------------------------------------------------


def load_base_model(settings: argparse.Namespace, labels: list[str]) -> tuple[Any, Any]:
    """Return the base model with a new classification head, and its tokenizer.

    Raises:
        StepError: there is no such model, it cannot read ``max_length`` tokens, or its weights are of another architecture.
    """
    base = settings.base_model
    if Path(base).is_dir() and not Path(base, "config.json").is_file():
        found = ", ".join(sorted(path.name for path in Path(base).iterdir())[:8]) or "nothing"
        raise StepError(f"base model {base}: expected a folder with config.json, weights and tokenizer; it holds {found}")
    seed_everything(settings.seed)  # the head starts from random weights
    try:
        config = AutoConfig.from_pretrained(
            base,
            num_labels=len(labels),
            id2label=dict(enumerate(labels)),
            label2id={label: index for index, label in enumerate(labels)},
            problem_type="single_label_classification",
        )
        tokenizer = AutoTokenizer.from_pretrained(base)
        # float32 whatever the weights are stored in: small updates vanish in 16 bits. Mixed precision comes on top.
        model, report = AutoModelForSequenceClassification.from_pretrained(
            base, config=config, dtype=torch.float32, ignore_mismatched_sizes=True, output_loading_info=True
        )
    except (OSError, ValueError, ImportError) as error:
        raise StepError(base_model_problem(base, error)) from None
    encoder = [name for name, _ in model.named_parameters() if name.startswith(f"{model.base_model_prefix}.")]
    missing = set(report["missing_keys"]).intersection(encoder)
    if len(missing) > len(encoder) / 2:
        raise StepError(
            f"base model {base}: {len(missing)} of the encoder's {len(encoder)} weights are not in its files, "
            f"{min(missing)} for one: config.json and weights are of different models"
        )
    if tokenizer.pad_token is None:  # decoders such as GPT-2 have none, and need one to know where a text ends
        tokenizer.pad_token = tokenizer.eos_token
    model.config.pad_token_id = tokenizer.pad_token_id
    most = longest_text(model)
    if settings.max_length > most:
        raise StepError(f"max_length {settings.max_length}: {base} has positions for {most} tokens; choose at most {most}")
    say(f"base model {base}: {model.config.model_type}, {model.num_parameters() / 1e6:.1f} million parameters")
    return model, tokenizer


def base_model_problem(base: str, error: Exception) -> str:
    """Say in one line why a base model did not load, and what to do."""
    first = (str(error).strip().splitlines() or [type(error).__name__])[0]
    if Path(base).is_dir():
        return f"base model {base}: cannot be loaded: {first}"
    if base.startswith(("s3://", "package:")):
        return f"base model {base}: give train.py a folder; the pipeline copies {base.split(':')[0]} models to a channel"
    if base.startswith(("/", ".", "~")):
        return f"base model {base}: there is no such folder"
    return (
        f"base model {base}: neither a folder, nor found on the Hugging Face hub or in its cache. Where the hub cannot be "
        f"reached, give a path, s3://… or package:NAME as model.base in config/model.yaml ({first})"
    )


def longest_text(model: Any) -> float:
    """Return how many tokens the model has positions for; infinity if nothing limits it."""
    for name, module in model.named_modules():
        if name.endswith("position_embeddings") and isinstance(module, torch.nn.Embedding):
            # RoBERTa and its kin begin to count after the padding id.
            return module.num_embeddings - (0 if module.padding_idx is None else module.padding_idx + 1)
    limit = getattr(model.config, "max_position_embeddings", None)
    return limit if isinstance(limit, int) and limit > 0 else math.inf


# --- training -----------------------------------------------------------------------------------------------------------------


class ClassifierTrainer(transformers.Trainer):  # type: ignore[misc]
    """The Trainer with our own order of texts (``LengthGroupedSampler`` says why)."""

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        batch_size = self.args.train_batch_size * RANKS
        steps = math.ceil(len(self.train_dataset) / batch_size)
        return LengthGroupedSampler(
            self.train_dataset.lengths, batch_size, self.args.seed, epoch=lambda: self.state.global_step // steps
        )


def make_trainer(
    settings: argparse.Namespace, model: Any, tokenizer: Any, train: TokenisedTexts, validation: TokenisedTexts
) -> tuple[ClassifierTrainer, StopOnSigterm]:
    """Put the training together, and the callback that ends it on SIGTERM."""
    steps = settings.epochs * math.ceil(len(train) / (settings.batch_size * RANKS))
    collate = collator(tokenizer.pad_token_id or 0)
    folder = run_folder(settings.checkpoint_dir, identity(settings), settings.train)
    precision = agreed_precision(settings, folder, model, collate, train, steps)
    weights = class_weights(train.labels, model.config.num_labels) if settings.class_weights == "balanced" else None
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
        eval_strategy="epoch",
        save_strategy="epoch",
        save_total_limit=2,  # the best and the newest
        load_best_model_at_end=True,
        metric_for_best_model=settings.early_stopping_metric,
        greater_is_better=settings.early_stopping_metric != "loss",
        restore_callback_states_from_checkpoint=True,  # the patience that is used up
        remove_unused_columns=False,
        label_names=["labels"],
        logging_steps=10,
        seed=settings.seed,
        disable_tqdm=True,
        report_to="none",
    )
    stop = StopOnSigterm(RANKS)
    trainer = ClassifierTrainer(
        model=model,
        args=arguments,
        train_dataset=train,
        eval_dataset=validation,
        data_collator=collate,
        compute_loss_func=loss_function(weights),
        compute_metrics=lambda prediction: summary(prediction.label_ids, prediction.predictions.argmax(axis=1)),
        callbacks=[
            transformers.EarlyStoppingCallback(early_stopping_patience=settings.early_stopping_patience),
            Progress(len(train)),
            stop,
        ],
    )
    trainer.remove_callback(transformers.PrinterCallback)
    return trainer, stop


def identity(settings: argparse.Namespace) -> dict[str, Any]:
    """Return what makes a training the same training, beside its data."""
    places = {"train", "validation", "model_dir", "checkpoint_dir", "output_data_dir"}
    return {"ranks": RANKS, **{name: value for name, value in vars(settings).items() if name not in places}}


def agreed_precision(
    settings: argparse.Namespace, folder: Path, model: Any, collate: Any, train: TokenisedTexts, steps: int
) -> str:
    """Return the number format that rank 0 chose when this training first began: a restart must not measure otherwise."""
    record = folder / SETTINGS_FILE
    chosen = [""]
    if RANK == 0:
        if record.is_file():
            chosen = [json.loads(record.read_text(encoding="utf-8"))["precision"]]
        else:
            middle = np.argsort(train.lengths, kind="stable")[len(train) // 2 :][: settings.batch_size]
            model.to("cuda" if torch.cuda.is_available() else "cpu")
            batch = {name: tensor.to(model.device) for name, tensor in collate([train[i] for i in middle]).items()}
            chosen[0], reason = choose_precision(settings.precision, model, batch, steps)
            say(f"precision {chosen[0]}: {reason}")
            folder.mkdir(parents=True, exist_ok=True)
            content = {"precision": chosen[0], "settings": identity(settings)}
            record.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    if RANKS > 1:
        if not torch.distributed.is_initialized():
            transformers.TrainingArguments(use_cpu=not torch.cuda.is_available(), report_to="none").device  # noqa: B018
        torch.distributed.broadcast_object_list(chosen)
    return chosen[0]


def class_weights(labels: np.ndarray, classes: int) -> torch.Tensor:
    """Return weights in inverse proportion to the classes' frequencies, with mean 1 over the texts; 0 for an absent class."""
    counts = np.bincount(labels, minlength=classes)
    present = counts > 0
    weights = np.zeros(classes, dtype=np.float32)
    weights[present] = len(labels) / (present.sum() * counts[present])
    return torch.from_numpy(weights)


def loss_function(weights: torch.Tensor | None) -> Callable[..., torch.Tensor]:
    """Return the (weighted) cross-entropy as the Trainer calls it."""

    def loss(outputs: Any, labels: torch.Tensor, num_items_in_batch: Any = None) -> torch.Tensor:
        logits = outputs["logits"].float()
        weight = None if weights is None else weights.to(logits.device)
        total = F.cross_entropy(logits, labels, weight=weight, reduction="sum")
        # Over all ranks' texts, which the Trainer counts; in evaluation it does not, and there is only this batch.
        return total / (len(labels) if num_items_in_batch is None else num_items_in_batch)

    return loss


# --- what is shown ------------------------------------------------------------------------------------------------------------


class Progress(transformers.TrainerCallback):  # type: ignore[misc]
    """A line now and then while training, and one for each evaluation in the form that METRIC_DEFINITIONS reads."""

    SECONDS = 10.0

    def __init__(self, texts: int) -> None:
        self.texts = texts
        self.first_step = 0
        self.started = self.shown = time.monotonic()

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Start the clock."""
        self.first_step = state.global_step
        self.started = self.shown = time.monotonic()
        epochs = f"at most {state.num_train_epochs} epochs, {state.max_steps} steps"
        say(f"training: {epochs}" + (f", continued after step {state.global_step}" if state.global_step else ""))

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **_: Any) -> None:
        """Show step, loss, speed and the time that is left."""
        if not logs or "loss" not in logs or time.monotonic() - self.shown < self.SECONDS:
            return
        self.shown = time.monotonic()
        seconds = (self.shown - self.started) / max(1, state.global_step - self.first_step)
        speed = self.texts * state.num_train_epochs / state.max_steps / seconds
        left = duration(seconds * (state.max_steps - state.global_step))
        say(f"  step {state.global_step} of {state.max_steps}: train:loss={logs['loss']:.4f}; {speed:.0f} texts/s, at most {left} left")

    def on_evaluate(self, args: Any, state: Any, control: Any, metrics: dict[str, float], **_: Any) -> None:
        """Show the validation set's metrics.

        Raises:
            StepError: the loss is not a number, from which no training recovers.
        """
        if not math.isfinite(metrics["eval_loss"]):
            raise StepError(
                f"the loss is {metrics['eval_loss']} after epoch {state.epoch:.0f}: the training diverged; lower learning_rate "
                f"(now {args.learning_rate:g}), or set precision to fp32"
            )
        names = ("loss", "accuracy", "macro_f1", "weighted_f1")
        values = " ".join(f"validation:{name}={metrics[f'eval_{name}']:.4f};" for name in names)
        say(f"epoch {state.epoch:.0f} of {state.num_train_epochs}: {values}")


def describe_sets(train: TokenisedTexts, validation: TokenisedTexts, labels: list[str], most: int, seconds: float) -> None:
    """Say how large the sets are, how long their texts, and which classes have no example."""
    long = np.mean(train.lengths >= most)
    say(
        f"{len(train)} texts to train on, {len(validation)} to validate, {len(labels)} classes; tokenised in {seconds:.1f} s: "
        f"median {np.median(train.lengths):.0f} tokens, {long:.0%} have {most} or more"
    )
    absent = sorted(set(range(len(labels))) - set(train.labels.tolist()))
    if absent:
        say(f"note: no text to train on for {', '.join(labels[index] for index in absent)}")


def machine() -> str:
    """Return what it runs on, in a few words."""
    ranks = f", {RANKS} ranks" if RANKS > 1 else ""
    if torch.cuda.is_available():
        return f"{torch.cuda.device_count()} x {torch.cuda.get_device_name()}{ranks}"
    return f"CPU, {torch.get_num_threads()} threads{ranks}"


def duration(seconds: float) -> str:
    """Return ``45 s``, ``3 min 20 s`` or ``2 h 5 min``."""
    minutes, rest = divmod(round(seconds), 60)
    if minutes >= 60:
        return f"{minutes // 60} h {minutes % 60} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def say(line: str) -> None:
    """Print a line from rank 0, at once."""
    if RANK == 0:
        print(line, flush=True)


# --- what is written ----------------------------------------------------------------------------------------------------------


def write_model(folder: Path, model: Any, tokenizer: Any, settings: argparse.Namespace, label_set: LabelSet) -> None:
    """Write weights, tokenizer, ``serving.json`` and the serving code: all that goes into ``model.tar.gz``."""
    folder.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    serving = {
        "max_length": settings.max_length,
        "truncation": settings.truncation,
        "text": label_set.text,
        "labels": label_set.labels,
    }
    (folder / "serving.json").write_text(json.dumps(serving, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    (folder / "code").mkdir(exist_ok=True)
    for name in ("inference.py", "texts.py"):
        shutil.copyfile(Path(__file__).with_name(name), folder / "code" / name)


def write_history(folder: Path, trainer: ClassifierTrainer) -> None:
    """Write ``training.json``: every epoch's metrics, which epoch was best, and how fast it went."""
    state = trainer.state
    epochs = [
        {name.removeprefix("eval_"): value for name, value in entry.items() if name in ("epoch", "step") or "eval_" in name}
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


def best_epoch(trainer: ClassifierTrainer) -> int:
    """Return the number, from 1, of the epoch whose model is kept."""
    state = trainer.state
    return round(state.best_global_step * state.num_train_epochs / state.max_steps)


if __name__ == "__main__":
    sys.exit(run(main, Path(os.environ.get("SM_OUTPUT_DIR", "/opt/ml/output"), "failure")))
