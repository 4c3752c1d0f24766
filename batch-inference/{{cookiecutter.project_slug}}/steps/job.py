"""What both steps are told and show: arguments and their checks, request.json, how far they are.

SageMaker takes at most 256 characters in an argument, so a list is an option given several times.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from columns import ADDED
from failure import StepError

INPUT = Path("/opt/ml/processing/input")
OUTPUT = Path("/opt/ml/processing/output")

NAME = "request.json"
VERSION = 1
FORMATS = ("csv", "jsonl")
_KINDS = {"str": (str, "text"), "int": (int, "a whole number"), "bool": (bool, "true or false")}


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
    for column in ADDED:
        parser.add_argument(f"--{column.option}-column", default=column.key, help=column.help)


def check_common(given: argparse.Namespace) -> None:
    """Check the values of those options.

    Raises:
        StepError: one cannot be meant.
    """
    within("input.max_bad_percent", given.max_bad_percent, 0, 100)
    within("output.top_labels", given.top_labels, 1, 1000)


def declared_names(given: argparse.Namespace) -> dict[str, str]:
    """Return what the columns are called that are added, by key."""
    return {column.key: getattr(given, f"{column.option}_column") for column in ADDED}


def within(setting: str, value: float, lowest: float, highest: float) -> None:
    """Check that a number is between two others.

    Raises:
        StepError: it is not.
    """
    if not lowest <= value <= highest:
        raise StepError(f"{setting}: expected a number from {lowest:g} to {highest:g}, got {value:g}")


@dataclass(frozen=True)
class Request:
    """The part of it that the steps need.

    Attributes:
        bucket: of the file that was put under ``input/``.
        key: of that file; messages call the file by it.
        version_id: of that file.
        execution_id: of the pipeline.
        model_package_arn: the model that answers.
        model_package_version: its number in the model package group.
        format: ``csv`` or ``jsonl``.
        gzip: whether the source is packed.
        source: name of the copy of the file.
        result: name of the file with the answers.
        result_key: where in the bucket that will be.
    """

    bucket: str
    key: str
    version_id: str
    execution_id: str
    model_package_arn: str
    model_package_version: int
    format: str
    gzip: bool
    source: str
    result: str
    result_key: str


def read_request(folder: Path) -> Request:
    """Read it.

    Raises:
        StepError: it is not what the steps know; the message names the key.
    """
    path = folder / NAME
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise StepError(f"{path}: expected JSON: {error}") from None
    if not isinstance(content, dict) or content.get("version") != VERSION:
        found = content.get("version") if isinstance(content, dict) else content
        raise StepError(f"{path}: expected version {VERSION}, got {found!r}: start the execution again")
    given: dict[str, Any] = {}
    for field in fields(Request):
        value = content.get(field.name)
        kind, words = _KINDS[str(field.type)]
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise StepError(f"{path}: {field.name}: expected {words}, got {value!r}")
        given[field.name] = value
    if given["format"] not in FORMATS:
        raise StepError(f"{path}: format: expected {' or '.join(FORMATS)}, got {given['format']!r}")
    return Request(**given)


class Progress:
    """Tells how far it is.

    Args:
        what: is done to the rows: "read".
    """

    SECONDS = 5.0
    """Between two lines."""

    EVERY = 1000
    """Rows after which it is worth looking at the clock."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._started = self._shown = time.monotonic()

    def at(self, rows: int) -> None:
        """Print a line when it is time; to be called every ``EVERY`` rows."""
        if time.monotonic() - self._shown >= self.SECONDS:
            self._shown = time.monotonic()
            print(f"  {rows:,} rows {self._what}, {self._speed(rows)}", flush=True)

    def end(self, rows: int) -> str:
        """Return how long it took, in brackets."""
        return f"({time.monotonic() - self._started:.1f} s, {self._speed(rows)})"

    def _speed(self, rows: int) -> str:
        return f"{rows / max(1e-3, time.monotonic() - self._started):,.0f} rows/s"
