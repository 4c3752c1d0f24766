"""Is everything there that a run needs? Answers before a job is started and paid for."""

import csv
import gzip
import importlib.util
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import botocore.exceptions

from configuration.errors import UserError

from . import arguments, base_model, images, interpreters, labels, pins
from .assets import split_uri
from .config import Data, Settings, is_s3

_FORMATS = {".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet"}
_KEY = "config/model.yaml: data"


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        good: True: in order; False: the run would fail; None: could not be looked at from here.
        text: what was found, for a person.
    """

    good: bool | None
    text: str


def check(settings: Settings, s3: Any | None) -> list[Finding]:
    """Look at the data and the base model that the configuration names.

    Args:
        settings: the configuration, valid in itself.
        s3: a boto3 client for S3 locations, or None when there are no credentials.
    """
    findings = [Finding(True, "config/project.yaml and config/model.yaml are valid")]
    data = settings.model.data
    findings += _look(settings.root, data, "data.source", data.source, s3)
    if data.test_source:
        findings += _look(settings.root, data, "data.test_source", data.test_source, s3)
    findings.append(_base(settings, s3))
    findings += _redaction(settings)
    findings += _serving(settings)
    bounds = [
        f"{name} {'>=' if threshold.at_least is not None else '<='} "
        f"{threshold.at_least if threshold.at_least is not None else threshold.at_most:g}"
        for name, threshold in arguments.thresholds(settings.model).items()
    ]
    return [*findings, Finding(True, f"a model is registered when {', '.join(bounds)} on the test set")]


def _look(root: Path, data: Data, key: str, location: str, s3: Any | None) -> Iterator[Finding]:
    if is_s3(location):
        yield _on_s3(key, location, s3)
        return
    path = root / location
    files = (
        [path]
        if path.is_file()
        else sorted(p for p in path.rglob("*") if p.is_file())
        if path.is_dir()
        else []
    )
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


def _labels(root: Path, data: Data, files: list[Path], location: str) -> Iterator[Finding]:
    """What the files' labels are like; they have the columns."""
    if sum(file.stat().st_size for file in files) > labels.MOST_BYTES:
        yield Finding(None, f"{location}: too large to count its labels here; the preprocess step does")
        return
    counts = labels.Counts()
    for file in files:
        name = str(file.relative_to(root) if file.is_relative_to(root) else file)
        kind = _format(file, data.format)
        try:
            with _open(file, _python_name(data.encoding)) as text:
                labels.count(labels.records(text, kind), name, data, counts)
        except (UnicodeError, OSError, EOFError, csv.Error, json.JSONDecodeError) as error:
            yield Finding(False, f"{name}: expected {kind}, could not read all of it: {error}")
            return
    wrong = labels.problems(counts, data)
    yield from (Finding(False, problem) for problem in wrong)
    if not wrong:
        yield Finding(True, f"{location}: {labels.summary(counts, data)}")


def _columns(root: Path, data: Data, file: Path) -> Finding:
    name = file.relative_to(root) if file.is_relative_to(root) else file
    try:
        found = column_names(file, data.format, data.encoding)
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


def column_names(file: Path, declared: str, encoding: str) -> list[str] | None:
    """The columns of a CSV or JSON Lines file, from its first record; None for Parquet.

    Raises:
        UserError: the file is empty, or is not what it is declared to be.
    """
    kind = _format(file, declared)
    if kind == "parquet":
        return None
    encoding = _python_name(encoding)
    try:
        with _open(file, encoding) as text:
            if kind == "csv":
                return next(csv.reader(text), None) or _raise("expected a header line, got an empty file")
            first = next((line for line in text if line.strip()), None)
            record = (
                json.loads(first) if first else _raise("expected one JSON object a line, got an empty file")
            )
            return (
                list(record)
                if isinstance(record, dict)
                else _raise("expected one JSON object a line, got something else")
            )
    except UnicodeError:
        raise UserError(f"expected text in {encoding}, got other bytes; set {_KEY}.encoding") from None
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


def _python_name(encoding: str) -> str:
    return "utf-8-sig" if encoding.lower().replace("_", "-") in ("utf-8", "utf8") else encoding


def _raise(message: str) -> Any:
    raise UserError(message)


def _open(file: Path, encoding: str) -> TextIO:
    if file.suffix == ".gz":
        return io.TextIOWrapper(gzip.open(file), encoding=encoding, newline="")
    return file.open(encoding=encoding, newline="")


def _on_s3(key: str, location: str, s3: Any | None) -> Finding:
    if s3 is None:
        return Finding(None, f"{location}: not looked at, as there are no AWS credentials")
    bucket, prefix = split_uri(location)
    try:
        page = s3.list_objects_v2(Bucket=bucket, Prefix=prefix, MaxKeys=1)
    except (botocore.exceptions.ClientError, botocore.exceptions.BotoCoreError) as error:
        return Finding(False, f"config/model.yaml: {key}: {location}: {error}")
    if not page.get("Contents"):
        return Finding(False, f"config/model.yaml: {key}: {location}: expected objects, found none")
    return Finding(True, f"{location}: has objects")


def _redaction(settings: Settings) -> Iterator[Finding]:
    rules = settings.model.data.redact
    if rules is None:
        return
    if rules.phones and importlib.util.find_spec("phonenumbers") is None:
        text = (
            "data.redact.phones: expected the package phonenumberslite of requirements/build.txt, found none"
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
        wanted = pins.read(settings.root)
        interpreter = interpreters.of_images(uses := images.of(settings))
    except UserError as error:
        yield Finding(False, str(error))
        return
    packages = ", ".join(str(pin) for pin in wanted)
    yield Finding(True, f"{pins.FILE}: {packages} for the images' {interpreter}")
    most = f"{serving.max_accuracy_loss * 100:g} points of accuracy on the validation set"
    yield Finding(True, f"served by ONNX Runtime; by int8 weights if they lose at most {most}, else fp32")
    if serving.image == "lean":
        name = uses.inference.rpartition("/")[2]
        yield Finding(True, f"in an image of this repository, {name}: a push builds it from serving_image/")


def _base(settings: Settings, s3: Any | None) -> Finding:
    name = settings.model.model.base
    try:
        base = base_model.resolve(name, settings.root)
    except UserError as error:
        return Finding(False, str(error))
    if base.s3_uri:
        return _on_s3("model.base", base.s3_uri, s3)
    if base.hub_id:
        return Finding(None, f"base model {name}: the training job will fetch it from the Hugging Face hub")
    return Finding(True, f"base model {name}: found")
