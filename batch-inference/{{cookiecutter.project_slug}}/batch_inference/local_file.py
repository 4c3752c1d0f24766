"""A file on this machine, before it is uploaded: what would make the pipeline refuse it is found here.

Nothing is decided twice: names mean what functions/ makes of them, and steps/ reads the head.
"""

from itertools import islice
from pathlib import Path
from typing import NamedTuple

from configuration.errors import UserError

from .config import TransformConfig
from .scripts import NO_TEXT, Columns, CsvReader, JsonReader, Lines, StepError, places

HEAD = 100  # rows that are looked at
LONGEST_LINE = 16 * 1024**2  # bytes, as in steps/normalise.py


class LocalFile(NamedTuple):
    """A file that the pipeline can read, as far as its head tells."""

    path: Path
    name: str  # below the input prefix
    size: int  # bytes


def check(path: Path, name: str, config: TransformConfig) -> LocalFile:
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
