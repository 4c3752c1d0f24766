"""The command line: `python -m mlops_workbench cost`, or `make cost`."""

import argparse
import importlib
import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from configuration import UserError
from configuration.command_line import show_what_can_be_shown

from . import fixed
from .estimate import OWN, TABLE, Estimate, Table, as_data, estimate, in_words, prices
from .usage import Use, batches, endpoints, training

#: the package of a template -> the module that loads its settings, and their field with its own file
TEMPLATES = {
    "model_build": ("model_build.load", "model"),
    "serverless_inference": ("serverless_inference.config", "endpoint"),
    "batch_inference": ("batch_inference.config", "transform"),
}
#: what each is asked about; the rest has nothing to do with it
COMMON = ("pushes", "build_minutes", "storage_gb", "logs_gb")
ASKED = {
    "model_build": ("trainings", "preprocess_minutes", "train_minutes", "evaluate_minutes"),
    "serverless_inference": ("requests", "staging_requests", "request_ms", "request_kb", "labels"),
    "batch_inference": (
        "files",
        "transform_minutes",
        "rows",
        "rows_per_second",
        "start_minutes",
        "processing_minutes",
        "labels",
    ),
}
MEANINGS = {
    "pushes": "pushes to main in a month, each of which is built, and trains or deploys",
    "trainings": "trainings in a month (default: one for each push, and those of the schedule)",
    "preprocess_minutes": "minutes that preparing the data takes, for each training",
    "train_minutes": "minutes that fine-tuning takes",
    "evaluate_minutes": "minutes that evaluating takes",
    "requests": "requests to production in a month",
    "staging_requests": "requests to staging in a month",
    "request_ms": "milliseconds that a request takes",
    "request_kb": "kilobytes of a request and its answer together",
    "labels": "labels of the model, of which each is counted in a metric",
    "files": "files that production answers in a month; staging answers one for each push",
    "transform_minutes": "minutes that the machines of the model take for a file",
    "rows": "rows of a file in production, whose minutes are computed then; --transform-minutes is staging's",
    "rows_per_second": "rows that one machine of the model answers in a second",
    "start_minutes": "minutes until a machine of the model answers, with --rows",
    "processing_minutes": "minutes that reading a file takes, and writing its answers as well",
    "build_minutes": "minutes of each build (CodeBuild)",
    "storage_gb": "gigabytes in the buckets: data, models, files, answers",
    "logs_gb": "gigabytes of logs in a month, kept for as long",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints the estimate; the exit status is 0 also where a price is unknown."""
    show_what_can_be_shown()
    root = _root(arguments)
    try:
        template = _template(root)
        options = _parser(template).parse_args(arguments)
        use = Use(**{name: getattr(options, name) for name in (*COMMON, *ASKED[template])})
        _check(use)
        table = prices(root)
        found = of_repository(root, template, table, use)
    except UserError as error:
        print(error, file=sys.stderr)
        return 1
    assumed = [_option(name, use) for name in (*ASKED[template], *COMMON)]
    text = json.dumps(as_data(found, table), indent=2) if options.json else in_words(found, assumed)
    try:
        print(text)
    except BrokenPipeError:  # `… | head`
        sys.stderr.close()
    return 0


def of_repository(root: Path, template: str, table: Table, use: Use) -> Estimate:
    """The estimate for the configuration below `root`.

    Raises:
        UserError: the configuration is not valid.
    """
    module, field = TEMPLATES[template]
    settings = importlib.import_module(module).load(root)
    project: dict[str, Any] = settings.project.model_dump(mode="json")
    config: dict[str, Any] = getattr(settings, field).model_dump(mode="json")
    runs = {
        "model_build": training,
        "serverless_inference": endpoints,
        "batch_inference": batches,
    }
    items = [*runs[template](config, use), *fixed.items(template, project, config, use)]
    return estimate(project["slug"], template.replace("_", "-"), project["region"], items, table, use)


def _root(arguments: Sequence[str] | None) -> Path:
    early = argparse.ArgumentParser(add_help=False)
    early.add_argument("--root", type=Path, default=Path())
    root: Path = early.parse_known_args(arguments)[0].root
    return root.absolute()


def _template(root: Path) -> str:
    for name in TEMPLATES:
        if (root / name).is_dir():
            return name
    raise UserError(f"{root}: expected a generated repository, found none; run this in its top folder")


def _parser(template: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m mlops_workbench cost",
        description="Estimate what this repository costs in a month: its configuration times prices.",
        epilog=f"The prices: {TABLE} (make read-tools), with dates and sources; your own: {OWN}.",
    )
    parser.add_argument(
        "--root", type=Path, default=Path(), help="the repository's top folder (default: this folder)"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    for name in (*ASKED[template], *COMMON):
        default = Use._field_defaults[name]
        kind = _count if name == "labels" else _number
        shown = "" if default is None else f" (default: {default:g})"
        parser.add_argument(_flag(name), type=kind, default=default, metavar="N", help=MEANINGS[name] + shown)
    return parser


def _check(use: Use) -> None:
    if use.rows is not None and not use.rows_per_second:
        raise UserError(
            "--rows: expected --rows-per-second beside it, above 0: how many rows one machine answers"
        )


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or value < 0:
        raise argparse.ArgumentTypeError(f"expected a number, 0 or more, got {text!r}")
    return value


def _count(text: str) -> int:
    return int(_number(text))


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def _option(name: str, use: Use) -> str:
    value = getattr(use, name)
    return f"  {_flag(name) + ('' if value is None else f' {value:g}'):<26} {MEANINGS[name]}"
