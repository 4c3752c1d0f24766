"""Is everything there that a run needs? Answers before a job is started and paid for.

Local data is read as steps/preprocess.py reads it, but with the standard library and row by row, and no texts
are compared: which texts occur twice, or with different labels, only that step finds.
"""

import csv
import gzip
import importlib.util
import io
import json
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

from botocore.exceptions import BotoCoreError, ClientError

from configuration import UserError
from configuration.command_line import Finding

from . import aws, images, requests, wheels
from .config import Data, Settings, is_s3
from .load import base_model
from .targets import TargetColumn

MOST_BYTES = 200 << 20
"""Files together whose labels are counted here: some ten seconds."""
MOST_LABELS = 10_000
SHOWN = 5

_FORMATS = {".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet"}
_KEY = "config/model.yaml: data"

csv.field_size_limit(min(sys.maxsize, 2**31 - 1))  # the default of 128 KiB is shorter than some emails


@dataclass
class Counts:
    """What the rows of some files hold.

    Attributes:
        rows: all of them, also those without text.
        unusable: texts that lack the label of some target.
        labels: target -> label -> texts.
        lacking: target -> where the texts are that lack the label that there has to be.
    """

    rows: int = 0
    unusable: int = 0
    labels: dict[str, Counter[str]] = field(default_factory=dict)
    lacking: dict[str, list[str]] = field(default_factory=dict)


def check(settings: Settings, s3: Any | None) -> list[Finding]:
    """Look at the data and the base model that the configuration names.

    Args:
        settings: the configuration, valid in itself.
        s3: a boto3 client for S3 locations, or None when there are no credentials.
    """
    findings = [Finding(True, "config/project.yaml and config/model.yaml are valid")]
    data = settings.model.data
    findings += _data(settings.root, data, "data.source", data.source, s3)
    if data.test_source:
        findings += _data(settings.root, data, "data.test_source", data.test_source, s3)
    findings.append(_base(settings, s3))
    findings += _redaction(settings)
    findings += _serving(settings)
    bounds = [
        f"{name} {'>=' if threshold.at_least is not None else '<='} "
        f"{threshold.at_least if threshold.at_least is not None else threshold.at_most:g}"
        for name, threshold in requests.thresholds(settings.model).items()
    ]
    return [*findings, Finding(True, f"a model is registered when {', '.join(bounds)} on the test set")]


def _data(root: Path, data: Data, key: str, location: str, s3: Any | None) -> Iterator[Finding]:
    if is_s3(location):
        yield _on_s3(key, location, s3)
        return
    path = root / location
    files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
    if not files:
        yield Finding(
            False,
            f"config/model.yaml: {key}: expected a file or a folder with files, got {location} (none there)",
        )
        return
    found = [_columns(root, data, file) for file in files]
    yield from found
    if key == "data.source" and all(finding.good for finding in found):
        yield from _labels(root, data, files, location)


def _on_s3(key: str, location: str, s3: Any | None) -> Finding:
    if s3 is None:
        return Finding(None, f"{location}: not looked at, as there are no AWS credentials")
    try:
        if aws.holds_objects(s3, location):
            return Finding(True, f"{location}: has objects")
    except (ClientError, BotoCoreError) as error:
        return Finding(False, f"config/model.yaml: {key}: {location}: {error}")
    return Finding(False, f"config/model.yaml: {key}: {location}: expected objects, found none")


def _columns(root: Path, data: Data, file: Path) -> Finding:
    name = _name(root, file)
    try:
        found = _column_names(file, data)
    except UserError as error:
        return Finding(False, f"{name}: {error}")
    if found is None:
        return Finding(None, f"{name}: the preprocess step checks the columns of Parquet files")
    answers = [target.column for target in data.labels.values()]
    wanted = [*data.text_columns, *answers, *([data.group_column] if data.group_column else [])]
    missing = [column for column in wanted if column not in found]
    if missing:
        return Finding(
            False,
            f"{name}: expected the columns {', '.join(wanted)}; missing {', '.join(missing)}; "
            f"found {', '.join(found)}",
        )
    return Finding(True, f"{name}: has the columns {', '.join(wanted)}")


def _column_names(file: Path, data: Data) -> list[str] | None:
    """The columns of a CSV or JSON Lines file, from its first record; None for Parquet.

    Raises:
        UserError: the file is empty, or is not what it is declared to be.
    """
    kind = _format(file, data.format)
    if kind == "parquet":
        return None
    try:
        with _open(file, data.encoding) as text:
            if kind == "csv":
                header = next(csv.reader(text), None)
                if not header:
                    raise UserError("expected a header line, got an empty file")
                return header
            first = next((line for line in text if line.strip()), None)
            if first is None:
                raise UserError("expected one JSON object a line, got an empty file")
            record = json.loads(first)
            if not isinstance(record, dict):
                raise UserError("expected one JSON object a line, got something else")
            return list(record)
    except UnicodeError:
        raise UserError(
            f"expected text in {_python_name(data.encoding)}, got other bytes; set {_KEY}.encoding"
        ) from None
    except (OSError, EOFError, csv.Error, json.JSONDecodeError) as error:
        raise UserError(f"expected {kind}, could not read it: {error}") from None


def _format(file: Path, declared: str) -> str:
    plain = file.with_suffix("") if file.suffix == ".gz" else file
    kind = _FORMATS.get(plain.suffix.lower()) if declared == "auto" else declared
    if kind is None:
        raise UserError(
            f"expected a name ending in {', '.join(_FORMATS)} (or those with .gz), or {_KEY}.format"
        )
    return kind


def _open(file: Path, encoding: str) -> TextIO:
    encoding = _python_name(encoding)
    if file.suffix == ".gz":
        return io.TextIOWrapper(gzip.open(file), encoding=encoding, newline="")
    return file.open(encoding=encoding, newline="")


def _python_name(encoding: str) -> str:
    return "utf-8-sig" if encoding.lower().replace("_", "-") in ("utf-8", "utf8") else encoding


def _name(root: Path, file: Path) -> str:
    return str(file.relative_to(root) if file.is_relative_to(root) else file)


def _labels(root: Path, data: Data, files: list[Path], location: str) -> Iterator[Finding]:
    """What the files' labels are like; they have the columns."""
    if sum(file.stat().st_size for file in files) > MOST_BYTES:
        yield Finding(None, f"{location}: too large to count its labels here; the preprocess step does")
        return
    counts = Counts()
    for file in files:
        name, kind = _name(root, file), _format(file, data.format)
        try:
            with _open(file, data.encoding) as text:
                _count(_records(text, kind), name, data, counts)
        except (UnicodeError, OSError, EOFError, csv.Error, json.JSONDecodeError) as error:
            yield Finding(False, f"{name}: expected {kind}, could not read all of it: {error}")
            return
    wrong = _refused(counts, data)
    yield from (Finding(False, problem) for problem in wrong)
    if not wrong:
        yield Finding(True, f"{location}: {_summary(counts, data)}")


def _records(text: TextIO, kind: str) -> Iterator[dict[str, Any]]:
    """The rows of an open CSV or JSON Lines file."""
    if kind == "csv":
        yield from csv.DictReader(text)
        return
    for line in filter(str.strip, text):
        record = json.loads(line)
        if isinstance(record, dict):
            yield record


def _count(rows: Iterable[dict[str, Any]], name: str, data: Data, counts: Counts) -> None:
    """Add the rows of the file `name` to the counts."""
    for number, row in enumerate(rows, 1):
        counts.rows += 1
        if not any(_text(row.get(column)) for column in data.text_columns):
            continue
        good = True
        for target, column in data.labels.items():
            found = _labels_of(row.get(column.column), column)
            counts.labels.setdefault(target, Counter()).update(found)
            if not found and not column.several:
                counts.lacking.setdefault(target, []).append(f"{name} row {number:,}")
                good = False
        counts.unusable += not good


def _labels_of(value: Any, column: TargetColumn) -> set[str]:
    if column.between is None:
        label = _text(value)
        return {label} if label else set()
    parts = value if isinstance(value, list) else _text(value).split(column.between)
    return {label for part in parts if (label := _text(part))}


def _text(value: Any) -> str:
    return "" if value is None else str(value).strip()


def _refused(counts: Counts, data: Data) -> list[str]:
    """What a run would refuse, a line for each."""
    found = []
    drawn = 2 if data.test_source is not None else 3
    share = counts.unusable / max(1, counts.rows)
    for target, places in counts.lacking.items():
        if share > data.max_bad_label_share:
            shown = ", ".join(places[:SHOWN]) + (", …" if len(places) > SHOWN else "")
            found.append(
                f"{_target_key(target, data)}: expected a label in {data.labels[target].column!r} of "
                f"at least {1 - data.max_bad_label_share:.2%} of the rows, found none in {len(places):,} of "
                f"{counts.rows:,} ({shown}); label them, or raise data.max_bad_label_share"
            )
    for target, column in data.labels.items():
        key, labels = _target_key(target, data), counts.labels.get(target, Counter())
        rare = [f"{label!r} ({number})" for label, number in sorted(labels.items()) if number < drawn]
        if len(labels) < (1 if column.several else 2):
            what = "labels" if column.several else "at least two classes"
            shown = ", ".join(map(repr, labels)) or "none"
            found.append(f"{key}: expected {what} in {column.column!r}, found {shown}")
        elif len(labels) > MOST_LABELS:
            found.append(
                f"{key}: expected classes, found more than {MOST_LABELS:,} values in {column.column!r}; "
                "name the column that holds the labels"
            )
        elif rare:
            more = f", and {len(rare) - 2 * SHOWN:,} more" if len(rare) > 2 * SHOWN else ""
            found.append(
                f"{key}: expected at least {drawn} texts of each class, one for each set, "
                f"found fewer of {', '.join(rare[: 2 * SHOWN])}{more}; add texts, merge the class with "
                "another, or remove its rows"
            )
    return found


def _target_key(target: str, data: Data) -> str:
    return f"{_KEY}." + ("label_column" if data.targets is None else f"targets.{target}")


def _summary(counts: Counts, data: Data) -> str:
    """The targets with their labels in a few words."""
    parts = []
    for target, column in data.labels.items():
        labels = counts.labels[target]
        rarest, number = min(labels.items(), key=lambda item: (item[1], item[0]))
        what = "labels" if column.several else "classes"
        parts.append(f"{target} has {len(labels)} {what}, the rarest is {rarest!r} ({number:,})")
    return f"{counts.rows:,} rows; " + "; ".join(parts)


def _base(settings: Settings, s3: Any | None) -> Finding:
    name = settings.model.model.base
    try:
        base = base_model(name, settings.root)
    except UserError as error:
        return Finding(False, str(error))
    if base.s3_uri:
        return _on_s3("model.base", base.s3_uri, s3)
    if base.hub_id:
        return Finding(None, f"base model {name}: the training job will fetch it from the Hugging Face hub")
    return Finding(True, f"base model {name}: found")


def _redaction(settings: Settings) -> Iterator[Finding]:
    rules = settings.model.data.redact
    if rules is None:
        return
    if rules.phones and importlib.util.find_spec("phonenumbers") is None:
        text = (
            "data.redact.phones: expected the package phonenumberslite of requirements/model.txt, found none"
        )
        yield Finding(False, f"config/model.yaml: {text}; run `make setup`")
        return
    yield Finding(True, f"personal data: placeholders take the place of {', '.join(rules.kinds)}")


def _serving(settings: Settings) -> Iterator[Finding]:
    """Nothing about torch, which the images have."""
    serving = settings.model.serving
    if serving.runtime == "torch":
        return
    try:
        wanted = wheels.read(settings.root)
        interpreter = images.interpreter(uses := images.of(settings))
    except UserError as error:
        yield Finding(False, str(error))
        return
    packages = ", ".join(str(pin) for pin in wanted)
    yield Finding(True, f"{wheels.FILE}: {packages} for the images' {interpreter}")
    most = f"{serving.max_accuracy_loss * 100:g} points of accuracy on the validation set"
    yield Finding(True, f"served by ONNX Runtime; by int8 weights if they lose at most {most}, else fp32")
    if serving.image == "lean":
        name = uses.inference.rpartition("/")[2]
        yield Finding(True, f"in an image of this repository, {name}: a push builds it from serving_image/")
