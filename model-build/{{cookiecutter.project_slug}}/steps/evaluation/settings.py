"""The command line of evaluate.py."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from evaluation import metrics
from evaluation.measure import figure_name
from evaluation.metrics import Bound, Threshold
from failure import StepError, listed
from serving.targets import Target

FOLDER = Path("/opt/ml/processing")


@dataclass(frozen=True)
class Settings:
    """What an evaluation is asked to do; explained by ``evaluate.py --help``."""

    model: Path
    test: Path
    output: Path
    batch_size: int
    bootstrap: int
    seed: int
    thresholds: list[Threshold]
    title: str
    data_hash: str
    commit: str
    settings: Path
    report: Path
    live_package: str
    live_commit: str
    live_model: Path
    live_settings: Path
    live_report: Path
    not_worse_by: tuple[str, float] | None
    serving_image: str


def parse(arguments: Sequence[str] | None, description: str) -> Settings:
    """Read the command line; the defaults are SageMaker's paths.

    Raises:
        StepError: a value is out of range, or a threshold is on a metric that there is not.
    """
    parser = _Parser(description=description, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    add = parser.add_argument
    add(
        "--model",
        type=Path,
        default=FOLDER / "input/model",
        help="folder with model.tar.gz, or the model itself",
    )
    add("--test", type=Path, default=FOLDER / "input/test", help="folder with data.parquet and labels.json")
    add("--output", type=Path, default=FOLDER / "output/evaluation", help="where the three files go")
    add("--batch-size", type=_count(1), default=64, help="texts that go through the model together")
    add("--bootstrap", type=_count(0), default=1000, help="draws for the intervals; 0 for none")
    add("--seed", type=_count(0), default=13, help="of the draws")
    for kind in ("least", "most"):
        name, meaning = f"--at-{kind}", f"the {'lowest' if kind == 'least' else 'highest'} acceptable figure"
        add(name, type=_bound, action="append", default=[], metavar="NAME=NUMBER", help=meaning)
    add("--title", default="Text classifier", help="name of the model on the report")
    add("--data-hash", default="", help="content hash of the input data, for the report")
    add("--commit", default="", help="commit of the code, for the report")
    add("--settings", type=Path, default=FOLDER / "input/settings", help="folder with settings.json")
    add("--report", type=Path, default=FOLDER / "input/report", help="folder with data_report.json")
    add("--live-package", default="none", help="ARN of the live model package, none, or unresolved")
    add("--live-commit", default="none", help="commit that the live model was made from")
    for name, what in (
        ("model", "model.tar.gz"),
        ("settings", "settings.json"),
        ("report", "data_report.json and training_texts.npy"),
    ):
        place = FOLDER / f"input/live_{name}"
        add(f"--live-{name}", type=Path, default=place, help=f"of the live model: folder with {what}")
    add(
        "--not-worse-by",
        type=_margin,
        metavar="METRIC=NUMBER",
        help="how much worse than the live model is acceptable; without it the comparison decides nothing",
    )
    add(
        "--serving-image",
        choices=("huggingface", "lean"),
        default="huggingface",
        help="what will serve the model; lean has no PyTorch, and takes none that ONNX Runtime cannot run",
    )
    given = vars(parser.parse_args(arguments))
    kinds: tuple[Bound, Bound] = ("at_least", "at_most")
    thresholds = [Threshold(name, kind, bound) for kind in kinds for name, bound in given.pop(kind)]
    return Settings(**given, thresholds=thresholds)


def check_thresholds(thresholds: Sequence[Threshold], targets: Sequence[Target]) -> None:
    """Refuse a threshold on a figure that the targets do not have.

    Raises:
        StepError: with the figures that there are.
    """
    known = [
        figure_name(targets, target, metric) for target in targets for metric in metrics.names(target.kind)
    ]
    for threshold in thresholds:
        if threshold.metric not in known:
            option = f"--{threshold.kind.replace('_', '-')}"
            raise StepError(
                f"{option} {threshold.metric}: expected a figure of this test set: {listed(known, 30)}; "
                "see acceptance in config/model.yaml"
            )


class _Parser(argparse.ArgumentParser):
    """Reports a wrong command line as every other mistake is reported."""

    def error(self, message: str) -> NoReturn:
        raise StepError(f"{message} (see --help)")


def _bound(text: str) -> tuple[str, float]:
    name, _, bound = text.partition("=")
    known = list(dict.fromkeys((*metrics.names("one"), *metrics.names("several"))))
    if name.rpartition(".")[2] not in known:
        raise argparse.ArgumentTypeError(
            f"expected NAME=NUMBER with a NAME out of {', '.join(known)}, got {text!r}"
        )
    try:
        value = float(bound)
    except ValueError:
        value = math.nan
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{name}: expected a number from 0 to 1, got {bound!r}")
    return name, value


def _margin(text: str) -> tuple[str, float]:
    name, _, margin = text.partition("=")
    try:
        value = float(margin)
    except ValueError:
        value = math.nan
    known = metrics.names("one", "margin")
    if name not in known or not 0 <= value < 1:
        forms = " or ".join(f"{each}=NUMBER" for each in known)
        raise argparse.ArgumentTypeError(f"expected {forms} with a number from 0 to 1, got {text!r}")
    return name, value


def _count(least: int) -> Callable[[str], int]:
    def convert(text: str) -> int:
        if not text.isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f"expected a whole number from {least}, got {text!r}")
        return int(text)

    return convert
