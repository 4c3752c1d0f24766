"""Which columns of a row go to the model, which are carried to the result, and which are added there."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

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


class AddedColumn(NamedTuple):
    """A column that the result has beside the carried ones.

    Attributes:
        key: in config/transform.yaml (output.columns); the column's name unless another is declared there.
        option: of both steps, for that name, is ``--OPTION-column``.
        help: of the option.
        description: of the key, for editors and the reference.
        of: what it tells about: each ``label`` of an answer (a target with any number of labels has all in
            one column, its name with an ``s``), each ``target`` of the model, or the ``row``.
        value: makes it: of a label and its score; of what is said of a target (model_answers.Said); of the
            model's version, None in a row without answer, and the row's error, None if there is none.
        decimals: of a number.
        where: which targets have it.
    """

    key: str
    option: str
    help: str
    description: str
    of: Literal["label", "target", "row"]
    value: Callable[..., Any]
    decimals: int | None = None
    where: Callable[[Target], bool] = lambda target: True


ADDED = (
    AddedColumn(
        key="label",
        option="label",
        help="added to the result: the class",
        description="The most probable label; with an s: all labels, of a target that may have several.",
        of="label",
        value=lambda label, score: label,
    ),
    AddedColumn(
        key="score",
        option="score",
        help="added to the result: its score",
        description="How sure the model is of it, 0 to 1; with an s: of each of several labels.",
        of="label",
        value=lambda label, score: score,
        decimals=6,
    ),
    AddedColumn(
        key="needs_review",
        option="review",
        help="added to the result if the model says it: whether a person should look",
        description="Whether a person should look at it; only if the model says so.",
        of="target",
        value=lambda said: said.needs_review,
        where=lambda target: target.reviewed,
    ),
    AddedColumn(
        key="model_version",
        option="version",
        help="added to the result: which model answered",
        description="The version of the model package that answered.",
        of="row",
        value=lambda version, error: version,
        decimals=0,
    ),
    AddedColumn(
        key="error",
        option="error",
        help="added to the result: why there is no answer",
        description="Why there is no answer.",
        of="row",
        value=lambda version, error: error,
    ),
)
"""All of them, within each kind in the order of the result.

Configuration, command lines and result follow from it, so a new column is an entry here, its key in
config/transform.yaml, and ``make schema``. The canary reads some of them, by their keys; what is counted
(summary.json, watch.json) is counted from the answers.
"""


def added_columns(
    names: Mapping[str, str], targets: Sequence[Target] = ONE, top_labels: int = 1
) -> list[tuple[str, AddedColumn]]:
    """Return the columns that the result has beside the carried ones, with their names, in their order.

    Args:
        names: what they are called, by key.
        targets: what the model answers about a text.
        top_labels: how many labels of a target that has one.
    """
    of_targets = [each for target in targets for each in target_columns(names, target, top_labels)]
    return [*of_targets, *((names[column.key], column) for column in ADDED if column.of == "row")]


def added_names(names: Mapping[str, str], targets: Sequence[Target] = ONE, top_labels: int = 1) -> list[str]:
    """Return only the names of ``added_columns``."""
    return [name for name, _ in added_columns(names, targets, top_labels)]


def target_columns(
    names: Mapping[str, str], target: Target, top_labels: int = 1
) -> list[tuple[str, AddedColumn]]:
    """Return one target's columns; their names begin with its own name if it has one.

    ``label, score``, with more labels ``label_2, score_2, …``; of a target with any number of labels the
    plurals, ``labels, scores``. What is told of the target as a whole comes last.
    """
    prefix = f"{target.name}_" if target.name else ""
    endings = ["s"] if target.several else ["", *(f"_{rank}" for rank in range(2, top_labels + 1))]
    found = [(ending, column) for ending in endings for column in columns_of("label", target)]
    found += [("", column) for column in columns_of("target", target)]
    return [(f"{prefix}{names[column.key]}{ending}", column) for ending, column in found]


def columns_of(kind: Literal["label", "target"], target: Target) -> list[AddedColumn]:
    """Return the columns that a target has of one kind."""
    return [column for column in ADDED if column.of == kind and column.where(target)]


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
