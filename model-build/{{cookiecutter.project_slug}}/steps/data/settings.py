"""The command line of preprocess.py, checked."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from failure import StepError, listed
from serving.texts import PLACEHOLDERS, SEPARATORS, Redaction

if TYPE_CHECKING:
    from serving.targets import Kind

INPUT = Path("/opt/ml/processing/input/data")

OUTPUT = Path("/opt/ml/processing/output")

# Where nothing else is said; config/model.yaml has these, too (model_build/config.py).
FRACTIONS = {"train": 0.7, "validation": 0.1, "test": 0.2}
SEED = 13
MAX_BAD_LABEL_SHARE = 0.01
PHONE_REGION = "CA"


class TargetColumn(NamedTuple):
    """Where the labels of one target are.

    Attributes:
        name: of the target.
        column: that holds its labels.
        separator: between the labels of one text; None where it has exactly one.
        key: of config/model.yaml, for messages.
    """

    name: str
    column: str
    separator: str | None = None
    key: str = "data.label_column"

    @property
    def kind(self) -> Kind:
        """Whether a text has one of the labels, or any number of them."""
        return "one" if self.separator is None else "several"


class Columns(NamedTuple):
    """Which columns hold what, and how the files are encoded."""

    text: tuple[str, ...]
    join: str
    targets: tuple[TargetColumn, ...]
    group: str | None
    encoding: str


@dataclass(frozen=True)
class Settings:
    """The command line, checked."""

    input: Path
    test_input: Path | None
    output: Path
    format: str
    columns: Columns
    fractions: tuple[float, float, float]  # of SETS, their sum is 1
    seed: int
    max_bad_label_share: float
    redact: Redaction | None


def parse_arguments(arguments: Sequence[str] | None) -> Settings:
    """Return the settings.

    Raises:
        StepError: a fraction, the share or the columns cannot be meant.
    """
    parser = argparse.ArgumentParser(
        description="Turn labelled data files into the sets train, validation and test.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--input", type=Path, default=INPUT, help="folder with the data files, or one file")
    parser.add_argument("--test-input", type=Path, help="a ready-made test set: folder or file")
    parser.add_argument("--output", type=Path, default=OUTPUT, help="folder for the sets and the report")
    parser.add_argument(
        "--format",
        choices=("auto", "csv", "jsonl", "parquet"),
        default="auto",
        help="auto: by the files' names",
    )
    parser.add_argument("--encoding", default="utf-8", help="of CSV and JSON Lines, as Python names it")
    parser.add_argument(
        "--text-column",
        action="append",
        required=True,
        help="may be given several times, in order",
        default=argparse.SUPPRESS,
    )
    parser.add_argument(
        "--join", choices=sorted(SEPARATORS), default="blank_line", help="what stands between text columns"
    )
    parser.add_argument("--label-column", help="column with the class: one target, of that name")
    parser.add_argument(
        "--target",
        action="append",
        default=[],
        metavar="NAME=COLUMN",
        help="instead of --label-column: a target and the column of its labels; may be given several times",
    )
    parser.add_argument(
        "--separator",
        action="append",
        default=[],
        metavar="NAME=TEXT",
        help="a text may have several labels of this target, or none; what stands between them",
    )
    parser.add_argument("--group-column", help="rows with the same value stay in one set")
    parser.add_argument("--train-fraction", type=float, default=FRACTIONS["train"], help="share of the texts")
    parser.add_argument(
        "--validation-fraction", type=float, default=FRACTIONS["validation"], help="share of the texts"
    )
    parser.add_argument(
        "--test-fraction",
        type=float,
        default=FRACTIONS["test"],
        help="share of the texts; not used with --test-input",
    )
    parser.add_argument("--seed", type=int, default=SEED, help="of the random division")
    parser.add_argument(
        "--max-bad-label-share",
        type=float,
        default=MAX_BAD_LABEL_SHARE,
        help="share of rows that may lack a label or contradict another",
    )
    parser.add_argument(
        "--redact",
        action="append",
        choices=sorted(PLACEHOLDERS),
        default=[],
        help="replace this kind of personal data by a placeholder; may be given several times",
    )
    parser.add_argument(
        "--phone-region", default=PHONE_REGION, help="country of phone numbers that name none, such as CA"
    )
    given = parser.parse_args(arguments)
    if not 0 <= given.max_bad_label_share <= 1:
        raise StepError(
            f"data.max_bad_label_share: expected a number from 0 to 1, got {given.max_bad_label_share:g}"
        )
    return Settings(
        input=given.input,
        test_input=given.test_input,
        output=given.output,
        format=given.format,
        columns=_columns(given),
        fractions=_fractions(
            given.train_fraction, given.validation_fraction, given.test_fraction, given.test_input is not None
        ),
        seed=given.seed,
        max_bad_label_share=given.max_bad_label_share,
        redact=Redaction.from_json({**dict.fromkeys(given.redact, True), "phone_region": given.phone_region}),
    )


def _columns(given: argparse.Namespace) -> Columns:
    targets = _targets(given)
    used = [*given.text_column, *(target.column for target in targets)]
    if len(set(used)) < len(used):
        keys = ["data.text_columns", *(target.key for target in targets)]
        raise StepError(f"{', '.join(keys)}: expected different columns, got {listed(used)}")
    if given.group_column in given.text_column:
        raise StepError(
            f"data.group_column: expected another column than a text column, got {given.group_column!r}"
        )
    return Columns(tuple(given.text_column), given.join, targets, given.group_column, given.encoding)


def _targets(given: argparse.Namespace) -> tuple[TargetColumn, ...]:
    columns, separators = _pairs("--target", given.target), _pairs("--separator", given.separator)
    if (given.label_column is None) == (not columns):
        got = "both" if columns else "neither"
        raise StepError(f"data: expected label_column, or targets (--label-column or --target), got {got}")
    if unknown := [name for name in separators if name not in columns]:
        raise StepError(f"--separator: expected the name of a --target, got {listed(unknown)}")
    if given.label_column is not None:
        return (TargetColumn(given.label_column, given.label_column),)
    return tuple(
        TargetColumn(name, column, separators.get(name), f"data.targets.{name}")
        for name, column in columns.items()
    )


def _pairs(option: str, given: Sequence[str]) -> dict[str, str]:
    pairs = [text.partition("=") for text in given]
    for text, (name, _, value) in zip(given, pairs, strict=True):
        if not (name and value):
            raise StepError(f"{option}: expected NAME=VALUE, got {text!r}")
    names = [name for name, _, _ in pairs]
    if len(set(names)) < len(names):
        raise StepError(f"{option}: expected each target once, got {listed(names)}")
    return {name: value for name, _, value in pairs}


def _fractions(train: float, validation: float, test: float, own_test: bool) -> tuple[float, float, float]:
    if own_test:
        test = 0.0
    elif abs(train + validation + test - 1) > 1e-6:
        raise StepError(
            f"split: expected fractions whose sum is 1, got {train:g} + {validation:g} + {test:g}"
        )
    if min(train, validation) <= 0 or (test <= 0 and not own_test):
        got = f"train {train:g}, validation {validation:g}, test {test:g}"
        raise StepError(f"split: expected fractions above 0, got {got}")
    whole = train + validation + test
    return train / whole, validation / whole, test / whole
