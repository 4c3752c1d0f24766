"""The arguments that both steps have, and checks of their values.

SageMaker takes at most 256 characters in an argument, so a list is an option given several times.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from columns import AddedNames
from failure import StepError

INPUT = Path("/opt/ml/processing/input")
OUTPUT = Path("/opt/ml/processing/output")


def add_folders(parser: argparse.ArgumentParser, parent: Path, **folders: str) -> None:
    """Add an option for each folder, with SageMaker's as the default."""
    for name, words in folders.items():
        parser.add_argument(f"--{name}", type=Path, default=parent / name, help=words)


def add_common(parser: argparse.ArgumentParser) -> None:
    """Add the options that both steps have."""
    parser.add_argument(
        "--max-bad-percent", type=float, default=5.0, help="of the rows; with more of them bad the file fails"
    )
    parser.add_argument(
        "--split",
        choices=("Line", "None"),
        default="Line",
        help="None: SageMaker sends a whole part as one request",
    )
    parser.add_argument("--top-labels", type=int, default=1, help="how many classes the result has")
    parser.add_argument("--label-column", default="label", help="added to the result: the class")
    parser.add_argument("--score-column", default="score", help="added to the result: its score")
    parser.add_argument(
        "--review-column",
        default="needs_review",
        help="added to the result if the model says it: whether a person should look",
    )
    parser.add_argument(
        "--version-column", default="model_version", help="added to the result: which model answered"
    )
    parser.add_argument("--error-column", default="error", help="added to the result: why there is no answer")


def check_common(given: argparse.Namespace) -> None:
    """Check the values of those options.

    Raises:
        StepError: one cannot be meant.
    """
    within("input.max_bad_percent", given.max_bad_percent, 0, 100)
    within("output.top_labels", given.top_labels, 1, 1000)


def added_names(given: argparse.Namespace) -> AddedNames:
    """Return what the columns are called that are added."""
    return AddedNames(
        given.label_column, given.score_column, given.review_column, given.version_column, given.error_column
    )


def within(setting: str, value: float, lowest: float, highest: float) -> None:
    """Check that a number is between two others.

    Raises:
        StepError: it is not.
    """
    if not lowest <= value <= highest:
        raise StepError(f"{setting}: expected a number from {lowest:g} to {highest:g}, got {value:g}")
