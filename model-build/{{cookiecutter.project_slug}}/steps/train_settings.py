"""The command line of train.py."""

from __future__ import annotations

import argparse
import math
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NoReturn

from failure import StepError
from targets import Target
from texts import POLICIES

STOPPING_METRICS = ("accuracy", "macro_f1", "weighted_f1", "loss")


@dataclass(frozen=True)
class Settings:
    """What a training is asked to do; the hyperparameters are explained by ``train.py --help``."""

    train: Path
    validation: Path
    model_dir: Path
    checkpoint_dir: Path
    output_data_dir: Path
    base_model: str
    epochs: int
    batch_size: int
    learning_rate: float
    weight_decay: float
    warmup_ratio: float
    max_length: int
    truncation: str
    class_weights: str
    early_stopping_metric: str
    early_stopping_patience: int
    precision: str
    tokens_per_pass: int
    seed: int
    triage_precision: str
    serving_runtime: str = "torch"
    max_accuracy_loss: float = 0.003

    def precision_of(self, target: str) -> float | None:
        """Return how right the answers of a target have to be that need no review; None: no triage."""
        return self._precisions().get(target, self._precisions().get(""))

    def check_targets(self, targets: Sequence[Target]) -> None:
        """Refuse triage for a target that there is not.

        Raises:
            StepError: the sets have no target of this name.
        """
        names = [target.name for target in targets]
        for name in filter(None, self._precisions()):
            if name not in names:
                raise StepError(f"triage_precision: expected a target ({', '.join(names)}), got {name!r}")

    def _precisions(self) -> dict[str, float]:
        return dict(_precision(part) for part in self.triage_precision.split(",") if part)

    def identity(self) -> dict[str, Any]:
        """Return what makes two trainings the same, beside their data.

        Everything but the folders, and what is done with the weights afterwards.
        """
        afterwards = ("serving_runtime", "max_accuracy_loss")
        return {
            name: value
            for name, value in asdict(self).items()
            if not isinstance(value, Path) and name not in afterwards
        }


def parse(arguments: Sequence[str] | None, description: str) -> Settings:
    """Read the command line; the defaults are SageMaker's paths.

    Raises:
        StepError: a value is missing or out of range.
    """
    parser = _Parser(description=description, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    _add_folders(parser.add_argument)
    _add_hyperparameters(parser.add_argument)
    given = parser.parse_args(arguments)
    for name in ("train", "validation", "base_model"):
        if not getattr(given, name):
            parser.error(f"--{name.replace('_', '-')} is missing, and so is SM_CHANNEL_{name.upper()}")
    return Settings(**vars(given))


class _Parser(argparse.ArgumentParser):
    """Reports a wrong command line as every other mistake is reported."""

    def error(self, message: str) -> NoReturn:
        raise StepError(f"{message} (see --help)")


def _add_folders(add: Callable[..., Any]) -> None:
    channel = {name: os.environ.get(f"SM_CHANNEL_{name}") for name in ("TRAIN", "VALIDATION", "BASE_MODEL")}
    model = os.environ.get("SM_MODEL_DIR", "/opt/ml/model")
    output_data = os.environ.get("SM_OUTPUT_DATA_DIR", "/opt/ml/output/data")
    add("--train", type=Path, default=channel["TRAIN"], help="folder with data.parquet and labels.json")
    add("--validation", type=Path, default=channel["VALIDATION"], help="the same for the validation set")
    add("--base-model", default=channel["BASE_MODEL"], help="folder, or id on the Hugging Face hub")
    add("--model-dir", type=Path, default=model, help="where the model goes")
    add("--checkpoint-dir", type=Path, default="/opt/ml/checkpoints", help="kept between restarts")
    add("--output-data-dir", type=Path, default=output_data, help="where training.json goes")


def _add_hyperparameters(add: Callable[..., Any]) -> None:
    # The defaults are for a small encoder (some 20 million parameters) and some hundred texts. One of the
    # size of BERT base wants a lower learning rate, about 5e-5, and some ten thousand texts want fewer
    # epochs.
    positive, share = _number(int, 1), _number(float, 0, 1)
    add("--epochs", type=positive, default=8, help="at most; early stopping may end before")
    add("--batch-size", type=positive, default=16, help="texts in a batch of one process")
    add("--learning-rate", type=_number(float, 0, 1, above=True), default=3e-4, help="after the warm-up")
    add("--weight-decay", type=share, default=0.01, help="of AdamW")
    add("--warmup-ratio", type=share, default=0.1, help="share of the steps with a rising learning rate")
    add("--max-length", type=_number(int, 8), default=256, help="tokens read, special ones included")
    add("--truncation", choices=POLICIES, default="head_tail", help="which part of a longer text is kept")
    add(
        "--class-weights", choices=("none", "balanced"), default="none", help="balanced: rare ones count more"
    )
    add("--early-stopping-metric", choices=STOPPING_METRICS, default="macro_f1", help="of the validation set")
    add("--early-stopping-patience", type=positive, default=3, help="epochs without improvement that end it")
    add("--precision", choices=("auto", "fp32", "bf16", "fp16"), default="auto", help="number format")
    add(
        "--tokens-per-pass",
        type=_number(int, 0),
        default=0,
        help="most tokens in the model at once, padding included: a larger batch takes several passes, "
        "with the same gradients and less memory; 0: as many as a GPU has room for, no limit on a CPU",
    )
    add(
        "--triage-precision",
        type=_triage,
        default="",
        help="share of the answers that need no review which has to be right: 0.95, or target=0.95,other=0.9",
    )
    add("--serving-runtime", choices=("torch", "onnx"), default="torch", help="what serves (artefact.py)")
    add("--max-accuracy-loss", type=share, default=0.003, help="share of right answers that int8 may lose")
    add("--seed", type=_number(int, 0, 2**31 - 1), default=13, help="of everything random")


def _triage(text: str) -> str:
    for part in filter(None, text.split(",")):
        _precision(part)
    return text


def _precision(part: str) -> tuple[str, float]:
    """Return target and number of ``target=number``; a number alone is for every target."""
    name, _, number = part.rpartition("=")
    convert = _number(float, 0, 1, above=True)
    return name.strip(), convert(number)


def _number(kind: type, least: float, most: float = math.inf, above: bool = False) -> Callable[[str], Any]:
    """Return a converter that takes numbers from ``least``, or only those above it, to ``most``."""
    what = "a whole number" if kind is int else "a number"
    limits = f"{'above' if above else 'from'} {least:g}" + (f" to {most:g}" if most < math.inf else "")

    def convert(text: str) -> Any:
        try:
            value = kind(text)
        except ValueError:
            value = math.nan
        # Written so that "not a number" fails, too.
        if not (least <= value <= most) or (above and value == least):
            raise argparse.ArgumentTypeError(f"expected {what} {limits}, got {text!r}")
        return value

    return convert
