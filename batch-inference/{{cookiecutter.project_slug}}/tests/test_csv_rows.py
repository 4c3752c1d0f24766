"""Rows of CSV: as Python's own csv module divides them, with what that cannot do."""

import csv
import io
import random
from collections.abc import Iterator

import pytest

from csv_rows import NEVER_ENDS, Rows

LONG = 1 << 20


def divide(text: str, longest: int = LONG) -> list[list[str] | str]:
    return list(Rows(iter(text.splitlines(keepends=True)), ",", longest))


def as_csv_does(text: str) -> list[list[str] | str]:
    """What the csv module makes of it, with the tail replaced that a quote swallows."""
    rows: list[list[str] | str] = [
        row for row in csv.reader(io.StringIO(text + "\nEND\n", newline="")) if row
    ]
    return rows[:-1] if rows[-1] == ["END"] else [*rows[:-1], NEVER_ENDS]


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("a,b\n1,2\n", [["a", "b"], ["1", "2"]]),
        ("a,b\r\n1,2\r\n", [["a", "b"], ["1", "2"]]),
        ("1,2", [["1", "2"]]),
        ('1,"2"', [["1", "2"]]),
        ('"1","2"\r\n', [["1", "2"]]),
        ('"two\nlines",x\n', [["two\nlines", "x"]]),
        ('"two\r\nlines",x\r\n', [["two\r\nlines", "x"]]),
        ('"ends in a line\n"\n', [["ends in a line\n"]]),
        ('"say ""hi""",x\n', [['say "hi"', "x"]]),
        ('"""",""\n', [['"', ""]]),
        ('5" pipe,x\n', [['5" pipe', "x"]]),
        ('"5"" pipe" of iron,x\n', [['5" pipe of iron', "x"]]),
        ("\n\r\n1,2\n\n\n3,4\n\n", [["1", "2"], ["3", "4"]]),
        (",\n", [["", ""]]),
        ('""\n', [[""]]),
        (" \n", [[" "]]),
        ("a\rb,c\r\n", [["a\rb", "c"]]),
        ("a\0b,c\n", [["a\0b", "c"]]),
        ("1,2\n3,4\r\r\n", [["1", "2"], ["3", "4"]]),
        ('1,2\n3,"4\n5,6\n7,8\n', [["1", "2"], NEVER_ENDS]),
        ('"', [NEVER_ENDS]),
        ('"a""', [NEVER_ENDS]),
        ("", []),
    ],
)
def test_rows_are_divided(text: str, rows: list[list[str]]) -> None:
    assert list(Rows(iter(io.StringIO(text, newline="\n")), ",", LONG)) == rows


def test_any_text_is_divided_as_the_csv_module_divides_it() -> None:
    chance = random.Random(13)
    for _ in range(5000):
        text = "".join(chance.choices('ab,,""\n', k=chance.randint(0, 24)))
        assert divide(text) == as_csv_does(text), repr(text)


def test_what_the_csv_module_writes_is_read_back() -> None:
    chance = random.Random(13)
    rows = [
        ["".join(chance.choices('ab,;"\n\r é\u2028\0', k=chance.randint(0, 12))) for _ in range(3)]
        for _ in range(2000)
    ]
    stream = io.StringIO(newline="")
    csv.writer(stream, lineterminator="\r\n").writerows(rows)
    assert list(Rows(iter(io.StringIO(stream.getvalue(), newline="\n")), ",", LONG)) == rows


def test_a_field_is_as_long_as_it_likes() -> None:
    field = 'x, "y"\n' * 100_000  # the csv module stops at 128 KiB
    stream = io.StringIO(newline="")
    csv.writer(stream).writerow(["1", field])
    assert divide(stream.getvalue()) == [["1", field]]


def pieces(text: str, longest: int) -> Iterator[str]:
    """The lines, cut as lines.Lines cuts them."""
    stream = io.StringIO(text, newline="\n")
    return iter(lambda: stream.readline(longest), "")


def test_a_row_that_is_too_long_is_skipped_and_the_next_one_is_read() -> None:
    chance = random.Random(13)
    skipped = 0
    for _ in range(5000):
        text = "".join(chance.choices('ab,,""\n', k=chance.randint(0, 40)))
        longest = chance.randint(1, 12)
        stream = io.StringIO(text, newline="\n")
        start, expected = 0, []
        for row in Rows(iter(stream.readline, ""), ",", LONG):
            size = len(text[start : stream.tell()].lstrip("\n"))  # without the blank lines before it
            expected.append(row if row == NEVER_ENDS or size <= longest else "longer than 0 MiB")
            start = stream.tell()
        assert list(Rows(pieces(text, longest), ",", longest)) == expected, repr(text)
        skipped += expected.count("longer than 0 MiB")
    assert skipped > 1000


def test_a_row_within_the_limit_is_not_too_long() -> None:
    assert divide('1,"2\n3"\n', longest=8) == [["1", "2\n3"]]
    assert divide('1,"2\n3"\n', longest=7) == ["longer than 0 MiB"]
    assert list(Rows(pieces("1,234567\n8,9\n", 9), ",", 9)) == [["1", "234567"], ["8", "9"]]


def test_the_lines_of_the_last_row_are_counted() -> None:
    rows = Rows(iter(['"a\n', "b\n", 'c"\n', "d\n"]), ",", LONG)
    assert [(row, rows.lines) for row in rows] == [(["a\nb\nc"], 3), (["d"], 1)]
