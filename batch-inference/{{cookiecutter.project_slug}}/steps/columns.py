"""Which columns of a row go to the model, which are carried to the result, and which are added there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from failure import StepError
from model_answers import ONE, Target

_OTHER_DELIMITERS = {";": "a semicolon", "\t": "a tab", "|": "a bar", ",": "a comma"}


@dataclass(frozen=True)
class Columns:
    """As declared.

    Attributes:
        text: in the order in which the model reads them.
        carry: in their order in the result; empty means all columns in the order of the file.
        added: to the result, after the carried ones.
    """

    text: tuple[str, ...]
    carry: tuple[str, ...]
    added: tuple[str, ...]


@dataclass(frozen=True)
class AddedNames:
    """What the columns are called that the result adds (output.columns)."""

    label: str
    score: str
    review: str
    version: str
    error: str


def added_columns(names: AddedNames, targets: Sequence[Target] = ONE, top_labels: int = 1) -> tuple[str, ...]:
    """Return the names of the columns that the result has beside the carried ones, in their order."""
    answers = (name for target in targets for name in target_columns(names, target, top_labels))
    return (*answers, names.version, names.error)


def target_columns(names: AddedNames, target: Target, top_labels: int = 1) -> tuple[str, ...]:
    """Return the names of one target's columns, which begin with its own name if it has one.

    ``label, score``, with more labels ``label_2, score_2, …``; of a target with any number of labels the
    plurals, ``labels, scores``. ``needs_review`` is the last one.
    """
    prefix = f"{target.name}_" if target.name else ""
    label, score = prefix + names.label, prefix + names.score
    review = (prefix + names.review,) if target.reviewed else ()
    if target.several:
        return (f"{label}s", f"{score}s", *review)
    more = (f"{name}_{rank}" for rank in range(2, top_labels + 1) for name in (label, score))
    return (label, score, *more, *review)


def check_declared(columns: Columns) -> None:
    """Refuse names that cannot be meant, whatever the file has.

    Raises:
        StepError: a name stands twice, or a carried column has the name of an added one.
    """
    for setting, names in (
        ("input.text_columns", columns.text),
        ("input.carry_columns", columns.carry),
        ("output.columns", columns.added),
    ):
        if twice := _twice(names):
            raise StepError(f'{setting}: expected different columns, got "{twice}" twice')
    for name in columns.carry:
        if name in columns.added:
            raise StepError(
                f'input.carry_columns: "{name}" is also a column that is added: '
                "declare another name for that one in output.columns"
            )


def carried_of_header(file: str, header: Sequence[str], columns: Columns, delimiter: str) -> list[str]:
    """Return the carried columns of a CSV file, its header checked.

    Raises:
        StepError: the header lacks a column, has one of the needed columns twice, or one that has the name of
            an added column.
    """
    carried = list(columns.carry or header)
    for setting, names in (("input.text_columns", columns.text), ("input.carry_columns", carried)):
        for name in names:
            if name not in header:
                raise StepError(
                    f'{file}: expected the column "{name}" ({setting}), the header has {_shown(header)}'
                    + _other_delimiter(header, delimiter)
                )
            if header.count(name) > 1:
                raise StepError(
                    f'{file}: expected the column "{name}" once, the header has it {header.count(name)} '
                    "times: rename one of them, or list the columns to carry in input.carry_columns"
                )
    refuse_added(file, carried, columns.added)
    return carried


def refuse_added(file: str, carried: Sequence[str], added: Sequence[str]) -> None:
    """Refuse a file that has a column of the same name as one that the result adds.

    Raises:
        StepError: it has.
    """
    for name in carried:
        if name in added:
            raise StepError(
                f'{file}: the column "{name}" is also the name of a column that is added: declare another '
                "name in output.columns, or list the columns to carry in input.carry_columns"
            )


def refuse_missing(file: str, seen: Sequence[str], unseen: Sequence[str], columns: Columns) -> None:
    """Refuse a JSON Lines file in which a declared column occurs nowhere.

    Args:
        file: what a person calls it.
        seen: the keys of its first object.
        unseen: the declared columns that no object had.
        columns: as declared.

    Raises:
        StepError: there is such a column.
    """
    for name in (*columns.text, *columns.carry):
        if name in unseen:
            setting = "input.text_columns" if name in columns.text else "input.carry_columns"
            raise StepError(
                f'{file}: expected the key "{name}" ({setting}), the first object has {_shown(seen)}'
            )


def check_added(file: str, carried: Sequence[str], added: Sequence[str]) -> None:
    """Check the columns that a model's answers turn out to add.

    Raises:
        StepError: two have the same name, or a carried one has the name of one of them.
    """
    if twice := _twice(added):
        raise StepError(
            f'{file}: expected different columns for what the model answers, got "{twice}" twice: declare '
            "other names in output.columns"
        )
    refuse_added(file, carried, added)


def added_key(names: Sequence[str], added: Sequence[str]) -> str | None:
    """Return what is wrong with an object in JSON Lines that has a key of that name, None if nothing is."""
    both = next((name for name in names if name in added), None)
    return f'the key "{both}" is also the name of a column that is added' if both is not None else None


def shorten(text: str, width: int = 60) -> str:
    """Return the text on one line, in double quotes, cut after ``width`` characters."""
    line = " ".join(text[: width * 2].split())
    return f'"{line[:width].rstrip()}…"' if len(line) > width or len(text) > width * 2 else f'"{line}"'


def listed(names: list[str], limit: int = 10) -> str:
    """Return the names separated by commas, at most ``limit`` of them and then how many more there are."""
    more = f", and {len(names) - limit:,} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more


def _twice(names: Sequence[str]) -> str | None:
    return next((name for number, name in enumerate(names) if name in names[:number]), None)


def _shown(names: Sequence[str]) -> str:
    return listed([shorten(name) for name in names]) or "nothing"


def _other_delimiter(header: Sequence[str], delimiter: str) -> str:
    if len(header) == 1:
        for other, words in _OTHER_DELIMITERS.items():
            if other != delimiter and other in header[0]:
                return f": is the delimiter {words}? Declare it in input.delimiter"
    return ""
