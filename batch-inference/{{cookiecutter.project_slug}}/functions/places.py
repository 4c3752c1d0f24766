"""Where things are in the data bucket, and what a file's name says about it. No AWS in here."""

import re
from typing import NamedTuple

SUMMARY = ".summary.json"
LONGEST_KEY = 1024  # bytes, [read] Amazon S3, "Naming objects"
ENDS = {"csv": (".csv",), "jsonl": (".jsonl", ".ndjson")}
"""How the names of files of each format end; each may be followed by .gz."""


class Kind(NamedTuple):
    """What a file's name says that it is."""

    format: str  # csv or jsonl
    gzip: bool

    @property
    def suffix(self) -> str:
        """As it is written: `.csv.gz`."""
        return f".{self.format}{'.gz' if self.gzip else ''}"


def kind(name: str, formats: list[str]) -> Kind | None:
    """The kind of a file by its name, in capitals too; None for a name that says none of `formats`."""
    plain = name.lower().removesuffix(".gz")
    found = next((each for each in formats if plain.endswith(ENDS[each])), None)
    return Kind(found, name.lower() != plain) if found else None


def ends(formats: list[str]) -> str:
    """How names may end, for a person."""
    plain = [end for each in formats for end in ENDS[each]]
    return ", ".join([*plain, *(f"{end}.gz" for end in plain)])


def result_key(key: str, input_prefix: str, output_prefix: str, answer: Kind) -> str:
    """Where the answers to `key` go: the same path, with the suffix of what they are unless it ends so.

    >>> result_key("input/july/a.csv", "input/", "output/", Kind("csv", False))
    'output/july/a.csv'
    >>> result_key("input/a.jsonl", "input/", "output/", Kind("csv", True))
    'output/a.jsonl.csv.gz'
    """
    path = key.removeprefix(input_prefix)
    return output_prefix + (path if path.endswith(answer.suffix) else path + answer.suffix)


def work(execution_id: str) -> str:
    """The folder of an execution.

    Raises:
        ValueError: that is no id of an execution.
    """
    if not re.fullmatch(r"[A-Za-z0-9-]{1,128}", execution_id):
        raise ValueError(f"execution_id: expected letters, digits and hyphens, got {execution_id!r}")
    return f"work/{execution_id}"


def request_key(execution_id: str) -> str:
    """The object that says what an execution does."""
    return f"{work(execution_id)}/request/request.json"
