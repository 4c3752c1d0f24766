"""The command lines of the step scripts, from `config/model.yaml`; every value is text for the API."""

from typing import Any

from training.settings import HYPERPARAMETERS

from .config import ModelConfig
from .targets import Threshold

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
    arguments += ["--join", data.join]
    if data.label_column is not None:
        arguments += ["--label-column", data.label_column]
    for name, target in (data.targets or {}).items():
        arguments += ["--target", f"{name}={target.column}"]
        if target.between is not None:
            arguments += ["--separator", f"{name}={target.between}"]
    if data.group_column is not None:
        arguments += ["--group-column", data.group_column]
    arguments += ["--train-fraction", f"{split.train:g}", "--validation-fraction", f"{split.validation:g}"]
    arguments += ["--test-fraction", f"{split.test:g}", "--seed", str(split.seed)]
    arguments += ["--max-bad-label-share", f"{data.max_bad_label_share:g}"]
    if data.redact is not None:
        for kind in data.redact.kinds:
            arguments += ["--redact", kind]
        arguments += ["--phone-region", data.redact.phone_region]
    return arguments


def train(config: ModelConfig, base_model: str | None) -> dict[str, str]:
    """Hyperparameters of steps/train.py.

    Args:
        config: the model's configuration.
        base_model: a hub id, or None when the base model comes as the channel `base_model`.
    """
    model, training = config.model, config.training
    values = {
        **{name: getattr(training, name) for name in type(training).model_fields if name in HYPERPARAMETERS},
        "max_length": model.max_length,
        "truncation": model.truncation,
        "early_stopping_metric": training.early_stopping.metric,
        "early_stopping_patience": training.early_stopping.patience,
        "triage_precision": triage_precisions(config) or None,
    }
    if config.serving.runtime != "torch":  # not named: what is trained as before is taken from the cache
        values["serving_runtime"] = config.serving.runtime
        values["max_accuracy_loss"] = config.serving.max_accuracy_loss
    return {
        **({} if base_model is None else {"base-model": base_model}),
        **{name.replace("_", "-"): _text(value) for name, value in values.items() if value is not None},
    }


def _text(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def evaluate(config: ModelConfig, title: str) -> list[str]:
    """Arguments of steps/evaluate.py, with the acceptance thresholds; `title` heads its report."""
    arguments = ["--model", f"{INPUT}/model", "--test", f"{INPUT}/test", "--output", f"{OUTPUT}/evaluation"]
    arguments += ["--seed", str(config.split.seed), "--title", title]
    for name, threshold in thresholds(config).items():
        bound, value = bound_of(threshold.at_least, threshold.at_most)
        arguments += [f"--{bound.replace('_', '-')}", f"{name}={value:g}"]
    if config.serving.image != "huggingface":  # not named: what is measured as before comes from the cache
        arguments += ["--serving-image", config.serving.image]
    return arguments


def thresholds(config: ModelConfig) -> dict[str, Threshold]:
    """The bound on each metric, by its name; of several targets that is `target.metric`."""
    several = len(config.data.labels) > 1
    return {
        f"{target}.{metric}" if several else metric: threshold
        for target, bounds in config.thresholds.items()
        for metric, threshold in bounds.items()
    }


def triage_precisions(config: ModelConfig) -> str:
    """`target=precision` of each target with triage, separated by commas; of one target the number alone."""
    triage, names = config.triage, list(config.data.labels)
    wanted = {name: precision for name in names if triage and (precision := triage.of(name)) is not None}
    if len(names) == 1:
        return "".join(f"{precision:g}" for precision in wanted.values())
    return ",".join(f"{name}={precision:g}" for name, precision in wanted.items())


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
