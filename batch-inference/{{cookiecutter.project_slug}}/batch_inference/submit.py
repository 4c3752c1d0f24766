"""`submit`: uploads files, follows what the pipeline makes of them, and brings the answers back.

What would make the pipeline refuse a file is found before it is uploaded. Nothing is decided twice: names
mean what functions/ makes of them, and steps/ reads the head.
"""

import argparse
import sys
import threading
import time
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import places
from columns import Columns
from configuration import UserError
from failure import StepError
from lines import Lines
from readers import NO_TEXT, CsvReader, JsonReader
from release.aws import session, stop_on_other_account
from release.environments import ENVIRONMENTS, STAGING

from . import objects
from .config import Settings, TransformConfig
from .executions import Executions, follow, where_to_look
from .objects import OUTPUT, Answers, Uploaded, fetch
from .summary import table

INTERRUPTED = 130  # as shells say that Ctrl-C ended a command
EVERY = 5.0  # seconds between two lines about a long upload
HEAD = 100  # rows that are looked at
LONGEST_LINE = 16 * 1024**2  # bytes, as in steps/normalise.py


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="what to have answered")
    parser.add_argument("--environment", choices=ENVIRONMENTS, default=STAGING, help="default: staging")
    parser.add_argument(
        "--as", dest="name", metavar="NAME", help="what to call the file in the bucket, such as 2026/july.csv"
    )
    parser.add_argument("--no-wait", action="store_true", help="only upload; the answers come without us")
    parser.add_argument(
        "--output", type=Path, default=OUTPUT, metavar="FOLDER", help=f"for the answers (default: {OUTPUT}/)"
    )


def run(settings: Settings, options: argparse.Namespace) -> int:
    """Uploads, follows, shows; returns 0 when every file is answered, 1 when one is not, 130 after Ctrl-C.

    Raises:
        UserError: a file is not to be uploaded, these are another account's credentials, or AWS refuses.
    """
    files = _checked(settings, options)
    own = session(settings.project.region)
    stop_on_other_account(own, settings.account(options.environment), f"that of {options.environment}")
    s3, bucket = own.client("s3"), settings.data_bucket(options.environment)
    uploads: list[tuple[Uploaded, str]] = []
    try:
        for file in files:
            uploads.append((_upload(s3, bucket, settings.transform.input.prefix, file), file.name))
        if options.no_wait:
            _say("The answers come without us. " + _later(uploads, options.environment))
            return 0
        executions = Executions(own.client("sagemaker"), settings.pipeline(options.environment))
        return _follow(settings, options, s3, executions, uploads)
    except KeyboardInterrupt:
        words = "The work goes on in AWS. " + _later(uploads, options.environment)
        _say("\n" + (words if uploads else "Nothing was uploaded."))
        return INTERRUPTED


def size(count: float) -> str:
    """A number of bytes for a person."""
    for unit in ("bytes", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "bytes" or count >= 10 else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"


class LocalFile(NamedTuple):
    """A file that the pipeline can read, as far as its head tells."""

    path: Path
    name: str  # below the input prefix
    size: int  # bytes


def check_file(path: Path, name: str, config: TransformConfig) -> LocalFile:
    """Looks at a file's name, size and first rows.

    Args:
        path: of the file.
        name: what it is to be called below the input prefix.
        config: what is declared of such files.

    Raises:
        UserError: it is not there, or the pipeline would refuse it; the message says what to do.
    """
    if path.is_dir():
        raise UserError(f"{path}: expected a file, got a folder; name the files in it")
    if not path.is_file():
        raise UserError(f"{path}: expected a file, found nothing there")
    kind = places.kind(path.name, list(config.input.formats))
    if kind is None:
        wanted = places.ends(list(config.input.formats))
        raise UserError(f"{path}: expected a name that ends in one of {wanted} (input.formats)")
    _check_name(name, kind, config)
    size = path.stat().st_size
    if size == 0:
        raise UserError(f"{path}: expected rows, got 0 bytes")
    _check_head(path, kind, config)
    return LocalFile(path, name, size)


def _follow(
    settings: Settings,
    options: argparse.Namespace,
    s3: Any,
    executions: Executions,
    uploads: Sequence[tuple[Uploaded, str]],
) -> int:
    """Follows all uploads to their ends, brings the answers and shows them; 1 if one has none."""
    bucket, prefix = settings.data_bucket(options.environment), settings.transform.output.prefix
    width = max(len(name) for _, name in uploads) if len(uploads) > 1 else 0
    followed = [(upload, name.ljust(width) if width else "") for upload, name in uploads]
    names, status = dict(uploads), 0
    for outcome in follow(executions, followed, where_to_look(settings, options.environment), _say):
        name = names[outcome.upload]
        if outcome.problem or outcome.execution is None:
            print(f"\n{name}: {outcome.problem}", file=sys.stderr, flush=True)
            status = 1
        else:
            answers = fetch(s3, bucket, prefix, outcome.execution.id, options.output)
            _say(f"\n{name}\n{table(answers.summary)}\n\n{_where(bucket, answers)}")
    return status


def _checked(settings: Settings, options: argparse.Namespace) -> list[LocalFile]:
    paths: Sequence[Path] = options.files
    if options.name is not None and len(paths) > 1:
        raise UserError(f"--as: expected one file, as it is one name, got {len(paths)} files")
    files = [check_file(path, options.name or path.name, settings.transform) for path in paths]
    names = [file.name for file in files]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise UserError(
            f"expected files of different names, got {twice} twice; submit them one by one, with --as"
        )
    return files


def _upload(s3: Any, bucket: str, prefix: str, file: LocalFile) -> Uploaded:
    key = prefix + file.name
    before = objects.look(s3, bucket, key)
    _say(f"{file.path} ({size(file.size)}) to s3://{bucket}/{key}")
    if before is not None:
        _say(
            f"  replaces the file of {before.moment:%Y-%m-%d %H:%M} UTC there, which the bucket keeps as an "
            "older version"
        )
    return objects.upload(s3, bucket, key, file.path, _progress(file.size))


def _progress(whole: int) -> Callable[[int], None]:
    """Says every few seconds how far an upload is; small ones are over before."""
    done, said, lock = 0, time.monotonic(), threading.Lock()

    def progress(more: int) -> None:
        nonlocal done, said
        with lock:  # boto3 tells from several threads
            done += more
            if time.monotonic() - said >= EVERY:
                said = time.monotonic()
                _say(f"  {size(done)} of {size(whole)} uploaded")

    return progress


def _where(bucket: str, answers: Answers) -> str:
    there = f"s3://{bucket}/{answers.summary.result_key}"
    if not answers.published:
        there = f"{there} holds the answers to a newer upload of this file"
    return f"  {answers.path}\n  {there}"


def _later(uploads: Sequence[tuple[Uploaded, str]], environment: str) -> str:
    more = "" if environment == STAGING else f" --environment {environment}"
    names = [f"'{name}'" if set(name) & set(" '()&;$") else name for _, name in uploads]
    return "To look later:\n" + "\n".join(
        f"  python -m batch_inference results {name}{more}" for name in names
    )


def _say(line: str) -> None:
    print(line, flush=True)


def _check_name(name: str, kind: places.Kind, config: TransformConfig) -> None:
    parts = name.split("/")
    if not all(parts) or {".", ".."} & set(parts) or not name.isprintable():
        raise UserError(f"--as: expected a name such as 2026/july.csv, got {name!r}")
    if places.kind(name, list(config.input.formats)) != kind:
        raise UserError(
            f"--as: expected a name that ends in {kind.suffix}, as the file's own does, got {name!r}"
        )
    longest = max(len(config.input.prefix), len(config.output.prefix)) + len((name + places.SUMMARY).encode())
    if longest + len(".jsonl.gz") > places.LONGEST_KEY:
        raise UserError(f"{name[:40]}…: expected a shorter name: S3 takes {places.LONGEST_KEY} bytes")


def _check_head(path: Path, kind: places.Kind, config: TransformConfig) -> None:
    carried = [] if config.input.carry_columns == "all" else config.input.carry_columns
    columns = Columns(tuple(config.input.text_columns), tuple(carried), tuple(config.added_columns))
    reader: CsvReader | JsonReader
    try:
        with Lines(path, str(path), kind.gzip, config.input.encoding, LONGEST_LINE) as lines:
            if kind.format == "csv":
                reader = CsvReader(lines, columns, config.input.delimiter)
            else:
                reader = JsonReader(lines, columns)
            errors = [row.error for row in islice(reader, HEAD)]
    except StepError as error:
        raise UserError(str(error)) from None
    bad = [error for error in errors if error not in (None, NO_TEXT)]
    if bad and len(bad) == len(errors):
        few = "the only row" if len(bad) == 1 else f"all of the first {len(bad)} rows"
        raise UserError(f"{path}: {few} cannot be read, the first because: {bad[0]}")
