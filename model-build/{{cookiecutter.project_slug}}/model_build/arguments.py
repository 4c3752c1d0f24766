"""The command lines of the step scripts, from `config/model.yaml`; every value is text for the API."""

from typing import Any

from .config import ModelConfig

INPUT = "/opt/ml/processing/input"
OUTPUT = "/opt/ml/processing/output"


def preprocess(config: ModelConfig) -> list[str]:
    """Arguments of steps/preprocess.py."""
    data, split = config.data, config.split
    arguments = ["--input", f"{INPUT}/data"]
    if data.test_source is not None:
        arguments += ["--test-input", f"{INPUT}/test"]
    arguments += ["--output", OUTPUT, "--format", data.format, "--encoding", data.encoding]
    for column in data.text_columns:
        arguments += ["--text-column", column]
    arguments += ["--join", data.join, "--label-column", data.label_column]
    if data.group_column is not None:
        arguments += ["--group-column", data.group_column]
    arguments += ["--train-fraction", f"{split.train:g}", "--validation-fraction", f"{split.validation:g}"]
    arguments += ["--test-fraction", f"{split.test:g}", "--seed", str(split.seed)]
    return [*arguments, "--max-bad-label-share", f"{data.max_bad_label_share:g}"]


def train(config: ModelConfig, base_model: str | None) -> dict[str, str]:
    """Hyperparameters of steps/train.py.

    Args:
        config: the model's configuration.
        base_model: a hub id, or None when the base model comes as the channel `base_model`.
    """
    model, training = config.model, config.training
    hyperparameters = {
        "epochs": str(training.epochs),
        "batch-size": str(training.batch_size),
        "learning-rate": f"{training.learning_rate:g}",
        "weight-decay": f"{training.weight_decay:g}",
        "warmup-ratio": f"{training.warmup_ratio:g}",
        "max-length": str(model.max_length),
        "truncation": model.truncation,
        "class-weights": training.class_weights,
        "early-stopping-metric": training.early_stopping.metric,
        "early-stopping-patience": str(training.early_stopping.patience),
        "precision": training.precision,
        "seed": str(training.seed),
    }
    return hyperparameters if base_model is None else {"base-model": base_model, **hyperparameters}


def evaluate(config: ModelConfig, title: str) -> list[str]:
    """Arguments of steps/evaluate.py, with the acceptance thresholds; `title` heads its report."""
    arguments = ["--model", f"{INPUT}/model", "--test", f"{INPUT}/test", "--output", f"{OUTPUT}/evaluation"]
    arguments += ["--seed", str(config.split.seed), "--title", title]
    for metric, threshold in config.acceptance.items():
        bound, value = bound_of(threshold.at_least, threshold.at_most)
        arguments += [f"--{bound.replace('_', '-')}", f"{metric}={value:g}"]
    return arguments


def comparison(config: ModelConfig, live_package: Any, live_commit: Any) -> list[Any]:
    """Arguments of steps/evaluate.py about the live model; both may be pipeline variables."""
    found = ["--live-package", live_package, "--live-commit", live_commit]
    if config.comparison.not_worse_by is not None:
        limit = f"{config.comparison.metric}={config.comparison.not_worse_by:g}"
        found += ["--not-worse-by", limit]
    return found


def bound_of(at_least: float | None, at_most: float | None) -> tuple[str, float]:
    """The one bound that is set: its name and its value."""
    if at_least is not None:
        return "at_least", at_least
    assert at_most is not None  # the configuration admits exactly one
    return "at_most", at_most
