"""Turn labelled data files into the sets train, validation and test.

Run by a SageMaker processing job, or by hand::

    python steps/preprocess.py --input data --output out --text-column body --label-column service_line
    python steps/preprocess.py --input data --output out --text-column comment \\
        --target sentiment=sentiment --target topics=topics --separator "topics=;"

It reads every data file below ``--input`` (data/readers.py), joins and cleans the texts (serving/texts.py),
drops what cannot be used, divides the rest, and writes below ``--output``::

    train/, validation/, test/     data.parquet (text: string, label: int32, row: int64) and labels.json;
                                   with several targets NAME.label for each of them, of a target with
                                   several labels a list of int32
    report/                        labels.json, data_report.json and training_texts.npy (data/hashes.py)

``row`` is the number of the row in the input, counted from 1 over the files in the order of their names,
without headers. ``label`` is the position in the target's sorted list of labels in labels.json.

The rules:

- With ``--redact`` placeholders take the place of personal data (serving/texts.py) before anything else
  looks at a text: duplicates, sets, reports and messages have the placeholders. labels.json says what was
  replaced.
- A row without text is dropped. So is a row that lacks the label of a target (one that may have several
  labels may also have none), and all rows of a text that occurs with different labels; when these are more
  than ``--max-bad-label-share`` of all rows, the step refuses the data and shows the first of them.
- Of rows with the same text and labels the first is kept. No text is in two sets.
- There are at least two classes of each target (of one with several labels at least one). Each class has a
  text for every set (3, or 2 with a test set of your own), or with groups as many groups; rarer classes are
  refused by name: they could be trained or measured, not both.
- Classes are divided in the proportion of the fractions; with several targets or labels their combinations
  are, as far as there are enough of each (data/splits.py). With ``--group-column`` no group is in two sets,
  and the classes are divided as well as whole groups can be; a row without a group is a group by itself.
- With ``--test-input`` that is the test set, and only train and validation are drawn, in the proportion of
  their fractions. Its texts are dropped from train and validation. Its labels must occur in the data.
- The same data, settings and seed give the same sets, whatever the names of the files and the order of the
  rows (save that of a text in two groups the first row decides).

Memory does not grow with the number of rows, but for a byte each (its set), and some three more in the
largest bucket of hashes (data/hashes.py); with groups some tens of bytes for each group, with several targets
for each combination of labels. The disk holds the rows once more while the step runs, below ``--output``.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

# Before Arrow is loaded: its own allocator keeps what has been freed, a quarter of this step's memory.
os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")

import numpy as np
import numpy.typing as npt

from data import hashes
from data.files import DataFile, content_hash, find_files
from data.intake import Intake, Labels
from data.selection import Selection, select
from data.sets import TextStatistics, draw, write_sets
from data.settings import Columns, Settings, parse_arguments
from data.splits import SETS, Strata
from failure import StepError, listed, run
from serving.targets import Target, columns_of
from serving.texts import Redaction, Redactor

Array = npt.NDArray[Any]


def main(arguments: Sequence[str] | None = None) -> None:
    """Do what the module says."""
    settings = parse_arguments(arguments)
    signal.signal(signal.SIGTERM, _stop)  # so that the scratch folder is removed
    files = find_files(settings.input, settings.format)
    test_files = find_files(settings.test_input, settings.format) if settings.test_input else []
    settings.output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".preprocess-", dir=settings.output) as folder:
        scratch = Path(folder)
        labels = Labels(settings.columns.targets)
        test = take_in(test_files, settings, labels, scratch / "test") if test_files else None
        data = take_in(files, settings, labels, scratch / "data")
        selection = select(data, test, labels, settings, scratch)
        sets = draw(data, selection, settings, scratch)
        statistics = write_sets(data, test, selection, sets, scratch)
        report = data_report(data, test, selection, statistics, settings)
        publish(scratch, selection.strata.targets, settings, report)
    hashes.write_fingerprints(settings.output, settings.output / "report")
    summarise(report)


def _stop(*_: object) -> NoReturn:
    sys.exit(128 + signal.SIGTERM)


def say(line: str) -> None:
    """Print a line of progress at once."""
    print(f"preprocess: {line}", flush=True)


def take_in(files: list[DataFile], settings: Settings, labels: Labels, folder: Path) -> Intake:
    """Read the files of one input.

    Raises:
        StepError: a file cannot be read as declared, or there is no row at all.
    """
    intake = Intake(folder, _redactor(settings.redact))
    intake.take_in(files, settings.columns, labels, settings.seed, say)
    if not intake.rows:
        raise StepError(f"{listed([file.name for file in files])}: expected rows of data, found none")
    return intake


def _redactor(rules: Redaction | None) -> Redactor | None:
    try:
        return Redactor(rules) if rules else None
    except (ModuleNotFoundError, ValueError) as error:
        raise StepError(str(error)) from None


def data_report(
    data: Intake,
    test: Intake | None,
    selection: Selection,
    statistics: list[tuple[TextStatistics, Array]],
    settings: Settings,
) -> dict[str, Any]:
    """Return the content of data_report.json. It holds no text of the data."""
    counts = selection.strata.spread(np.stack([counts for _, counts in statistics], axis=1))
    return {
        "input": _input(data, selection.dropped),
        "test_input": _input(test, selection.test_dropped) if test else None,
        "sets": {name: statistics.summary() for name, (statistics, _) in zip(SETS, statistics, strict=True)},
        **_label_counts(selection.strata, counts.tolist()),
        "groups": {"groups": selection.groups, "rows_without_group": data.groupless}
        if settings.columns.group
        else None,
        "warnings": selection.warnings,
        "settings": {
            "format": settings.format,
            "columns": _columns(settings.columns),
            "fractions": dict(zip(SETS, settings.fractions, strict=True)),
            "seed": settings.seed,
            "max_bad_label_share": settings.max_bad_label_share,
            "redact": settings.redact.as_json() if settings.redact else None,
        },
    }


def _label_counts(strata: Strata, counts: list[list[int]]) -> dict[str, Any]:
    """Return the texts of each label in each set; of several targets, those of each target's labels.

    A target of kind ``several`` also has an entry in ``without_label``: texts with none of its labels.
    """
    rows = [{**dict(zip(SETS, row, strict=True)), "total": sum(row)} for row in counts]
    labels = {
        target.name: dict(zip(target.labels, rows[part], strict=True))
        for target, part in zip(strata.targets, columns_of(strata.targets), strict=True)
    }
    several = [target.name for target in strata.targets if target.kind == "several"]
    without = dict(zip(several, rows[strata.labels :], strict=True))
    return {
        "labels": labels if len(labels) > 1 else next(iter(labels.values())),
        **({"without_label": without} if without else {}),
    }


def _columns(columns: Columns) -> dict[str, Any]:
    """Return the columns as the report names them."""
    targets = {
        each.name: {"column": each.column, "kind": each.kind, "separator": each.separator}
        for each in columns.targets
    }
    plain = len(targets) == 1 and columns.targets[0].kind == "one"
    label = {"label": columns.targets[0].column} if plain else {"targets": targets}
    return {
        "text": columns.text,
        "join": columns.join,
        **label,
        "group": columns.group,
        "encoding": columns.encoding,
    }


def _input(intake: Intake, dropped: dict[str, int]) -> dict[str, Any]:
    return {
        "content_sha256": content_hash([file for file, _ in intake.files]),
        "rows": intake.rows,
        "dropped": dropped,
        **({"redacted": dict(intake.redactor.found)} if intake.redactor else {}),
        "files": [
            {"name": file.name, "format": file.format, "bytes": file.path.stat().st_size, "rows": rows}
            for file, rows in intake.files
        ],
    }


def publish(scratch: Path, targets: Sequence[Target], settings: Settings, report: dict[str, Any]) -> None:
    """Move the finished sets to their places, with labels.json beside each, and write the report."""
    columns, output = settings.columns, settings.output
    content = {
        "targets": [target.as_json() for target in targets],
        "text": {"columns": list(columns.text), "join": columns.join},
        "redact": settings.redact.as_json() if settings.redact else None,
    }
    for name in (*SETS, "report"):
        (output / name).mkdir(exist_ok=True)
        _write_json(output / name / "labels.json", content)
    for name in SETS:
        shutil.move(scratch / f"{name}.parquet", output / name / "data.parquet")
    _write_json(output / "report" / "data_report.json", report)


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")


def summarise(report: dict[str, Any]) -> None:
    """Print what was read, dropped and written."""
    for key, name in (("input", "data"), ("test_input", "test set")):
        if part := report[key]:
            dropped = ", ".join(
                f"{count:,} {reason.replace('_', ' ')}" for reason, count in part["dropped"].items() if count
            )
            say(f"{name}: {part['rows']:,} rows, files: {len(part['files']):,}; dropped: {dropped or 'none'}")
            if redacted := part.get("redacted"):
                say(f"{name}: replaced: {', '.join(f'{redacted[kind]:,} {kind}' for kind in redacted)}")
    sizes = ", ".join(f"{name} {report['sets'][name]['texts']:,}" for name in SETS)
    say(f"{_classes(report)}; texts: {sizes}")
    for warning in report["warnings"]:
        say(f"warning: {warning}")


def _classes(report: dict[str, Any]) -> str:
    targets = report["settings"]["columns"].get("targets", {})
    if len(targets) < 2:
        return f"{len(report['labels']):,} {'labels' if targets else 'classes'}"
    counts = [(name, len(report["labels"][name]), targets[name]["kind"]) for name in targets]
    return ", ".join(
        f"{name}: {count:,} {'labels' if kind == 'several' else 'classes'}" for name, count, kind in counts
    )


if __name__ == "__main__":
    sys.exit(run(main))
