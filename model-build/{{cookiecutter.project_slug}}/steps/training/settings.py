"""The hyperparameters of a training, each in one line: its default, its limits and what it means.

From that line come train.py's command line and what config/model.yaml may say (model_build/config.py), so
this imports the standard library only.
"""

from __future__ import annotations

import argparse
import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import Field, asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, NoReturn, get_args, get_type_hints

from evaluation.metrics import EpochMetric
from failure import StepError

Truncation = Literal["head", "tail", "head_tail"]
ClassWeights = Literal["none", "balanced"]
Precision = Literal["auto", "fp32", "bf16", "fp16"]
Runtime = Literal["torch", "onnx"]


def _is(default: Any, meaning: str, **limits: Any) -> Any:
    """Return a field of ``Hyperparameters``.

    Args:
        default: its value where nothing else is said.
        meaning: a sentence for people.
        limits: ``least`` and ``most`` of a number; ``above`` and ``below`` where the limit itself is refused.
    """
    return field(default=default, metadata={"meaning": meaning, **limits})


@dataclass(frozen=True, kw_only=True)
class Hyperparameters:
    """What a data scientist may turn.

    The learning rate is for an encoder of the size of BERT base. A small one (some 20 million parameters)
    wants a higher one, 2e-4 or so; some ten thousand texts want fewer epochs than some hundred.
    """

    epochs: int = _is(10, "At most; early stopping usually ends before.", least=1, most=1000)
    batch_size: int = _is(16, "Texts for each step of learning, in each process.", least=1, most=4096)
    learning_rate: float = _is(5e-5, "How large the steps are, after the warm-up.", above=0, most=1)
    weight_decay: float = _is(0.01, "How strongly AdamW keeps weights small.", least=0, most=1)
    warmup_ratio: float = _is(0.1, "Share of the steps in which the learning rate rises.", least=0, most=1)
    max_length: int = _is(256, "Tokens that the model reads of a text.", least=8, most=8192)
    truncation: Truncation = _is("head", "Which part of a longer text stays.")
    class_weights: ClassWeights = _is("none", "balanced: rare classes count more.")
    early_stopping_metric: EpochMetric = _is("macro_f1", "What has to improve, on the validation set.")
    early_stopping_patience: int = _is(3, "Epochs without improvement before it stops.", least=1, most=100)
    precision: Precision = _is("auto", "Number format. auto: bf16 where the machine has it.")
    tokens_per_pass: int = _is(
        0,
        "Most tokens in the model at once, padding included: a larger batch takes several passes, with the "
        "same gradients and less memory. 0: as many as a GPU has room for; no limit on a CPU.",
        least=0,
    )
    triage_precision: str = _is(
        "",
        "Share of the answers that need no review which has to be right: 0.95, or target=0.95,other=0.9.",
    )
    serving_runtime: Runtime = _is(
        "torch",
        "torch: as trained. onnx: exported for ONNX Runtime, which travels in model.tar.gz.",
    )
    max_accuracy_loss: float = _is(
        0.003,
        "With onnx: int8 weights serve if they lose at most this share of right answers (validation set).",
        least=0,
        below=1,
    )
    seed: int = _is(13, "The same seed, data and machine give the same model.", least=0, most=2**31 - 1)


HYPERPARAMETERS: Mapping[str, Field[Any]] = {each.name: each for each in fields(Hyperparameters)}

AFTERWARDS = ("serving_runtime", "max_accuracy_loss")
"""What is done with the weights when they are trained."""


@dataclass(frozen=True, kw_only=True)
class Settings(Hyperparameters):
    """What a training is asked to do."""

    train: Path
    validation: Path
    model_dir: Path
    checkpoint_dir: Path
    output_data_dir: Path
    base_model: str

    def precision_of(self, target: str) -> float | None:
        """Return how right the answers of a target have to be that need no review; None: no triage."""
        return self._precisions().get(target, self._precisions().get(""))

    def check_targets(self, targets: Sequence[str]) -> None:
        """Refuse triage for a target that there is not.

        Raises:
            StepError: the sets have no target of this name.
        """
        for name in filter(None, self._precisions()):
            if name not in targets:
                raise StepError(f"triage_precision: expected a target ({', '.join(targets)}), got {name!r}")

    def _precisions(self) -> dict[str, float]:
        return dict(_precision(part) for part in self.triage_precision.split(",") if part)

    def identity(self) -> dict[str, Any]:
        """Return what makes two trainings the same, beside their data: all but folders and ``AFTERWARDS``."""
        return {
            name: value
            for name, value in asdict(self).items()
            if not isinstance(value, Path) and name not in AFTERWARDS
        }


def parse(arguments: Sequence[str] | None, description: str) -> Settings:
    """Read the command line; the defaults of folders are SageMaker's.

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
    kinds = get_type_hints(Hyperparameters)
    for name, each in HYPERPARAMETERS.items():
        option = f"--{name.replace('_', '-')}"
        told = {"default": each.default, "help": each.metadata["meaning"]}
        if choices := get_args(kinds[name]):
            add(option, choices=choices, **told)
        else:
            add(option, type=_triage if kinds[name] is str else number(kinds[name], each.metadata), **told)


def _triage(text: str) -> str:
    for part in filter(None, text.split(",")):
        _precision(part)
    return text


def _precision(part: str) -> tuple[str, float]:
    """Return target and number of ``target=number``; a number alone is for every target."""
    name, _, text = part.rpartition("=")
    return name.strip(), number(float, {"above": 0, "most": 1})(text)


def number(kind: type, limits: Mapping[str, Any]) -> Callable[[str], Any]:
    """Return a converter that takes numbers within limits, as ``_is`` has them."""
    above, below = limits.get("above"), limits.get("below")
    least = limits["least"] if above is None else above
    most = limits.get("most", math.inf) if below is None else below
    what = "a whole number" if kind is int else "a number"
    told = f"{'from' if above is None else 'above'} {least:g}"
    if most < math.inf:
        told += f" {'to' if below is None else 'and below'} {most:.10g}"

    def convert(text: str) -> Any:
        try:
            value = kind(text)
        except ValueError:
            value = math.nan
        # Written so that "not a number" fails, too.
        if not (least <= value <= most) or value in (above, below):
            raise argparse.ArgumentTypeError(f"expected {what} {told}, got {text!r}")
        return value

    return convert
