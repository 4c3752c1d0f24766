"""What training, evaluation and serving share about text."""

import sys
from pathlib import Path

import pyarrow as pa
import pytest

from data.intake import clean_array, join_arrays
from serving.texts import POLICIES, SEPARATORS, WHITESPACE, clean, join_columns, truncate


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        (None, ""),
        ("", ""),
        (" \t\r\n\u00a0\u200b\ufeff ", ""),
        ("  Élevé — 电梯 ΑΣ  ", "Élevé — 电梯 ΑΣ"),
        ("a\0b", "ab"),
        ("\0 a \0", "a"),
        ("one\r\ntwo\rthree\n\nfour", "one\ntwo\nthree\n\nfour"),
        ("inner   spaces\tstay", "inner   spaces\tstay"),
        ("cut \ud83d", "cut \ufffd"),
        ("whole \ud83d\ude00", "whole 😀"),
        ("e\u0301 stays in two", "e\u0301 stays in two"),
    ],
)
def test_clean_removes_what_carries_no_meaning_and_nothing_else(text: str | None, cleaned: str) -> None:
    assert clean(text) == cleaned
    assert clean(cleaned) == cleaned


def test_every_character_that_python_calls_white_space_is_trimmed() -> None:
    assert {chr(code) for code in range(sys.maxunicode + 1) if chr(code).isspace()} <= set(WHITESPACE)


def test_preprocessing_whole_columns_cleans_as_serving_cleans_one_text() -> None:
    characters = [*map(chr, range(0x3100)), "\ufeff", "\ufffd", "\U0001f600"]
    texts = [f"{character}x{character}y\r{character}" for character in characters] + [
        "\0 \0 a",
        "",
        "\0\ufeff",
    ]
    assert clean_array(pa.array(texts)).to_pylist() == [clean(text) for text in texts]
    assert clean_array(pa.array(["a", None], pa.string())).to_pylist() == ["a", ""]


@pytest.mark.parametrize("join", SEPARATORS)
def test_columns_are_joined_without_separators_around_empty_ones(join: str) -> None:
    between = SEPARATORS[join]
    records = [
        ("a", "b", "c"),
        ("a", " ", "c"),
        (None, "b\r\n", None),
        ("", None, ""),
        ("", "", " c"),
        ("a", "", ""),
    ]
    expected = [f"a{between}b{between}c", f"a{between}c", "b", "", "c", "a"]
    assert [join_columns(record, join) for record in records] == expected
    columns = [clean_array(pa.array(column, pa.string())) for column in zip(*records, strict=True)]
    assert join_arrays(columns, join).to_pylist() == expected


def test_an_unknown_join_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="join: expected one of newline, blank_line, space, got 'comma'"):
        join_columns(["a"], "comma")


@pytest.mark.parametrize(
    ("policy", "limit", "kept"),
    [
        ("head", 4, [0, 1, 2, 3]),
        ("tail", 4, [6, 7, 8, 9]),
        ("head_tail", 4, [0, 7, 8, 9]),
        ("head_tail", 8, [0, 1, 4, 5, 6, 7, 8, 9]),
        ("head_tail", 1, [9]),
    ],
)
def test_a_long_text_is_cut_where_the_policy_says(policy: str, limit: int, kept: list[int]) -> None:
    assert truncate(list(range(10)), limit, policy) == kept


@pytest.mark.parametrize("policy", POLICIES)
def test_a_cut_text_keeps_its_order_and_fills_the_limit(policy: str) -> None:
    for length in range(20):
        for limit in range(1, 25):
            kept = truncate(list(range(length)), limit, policy)
            assert len(kept) == min(length, limit)
            assert kept == sorted(set(kept))


def test_a_limit_or_policy_that_cannot_be_meant_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1 token"):
        truncate([1], 0, "head")
    with pytest.raises(ValueError, match="expected one of head, tail, head_tail, got 'middle'"):
        truncate([1], 1, "middle")


def test_the_module_needs_nothing_but_the_standard_library() -> None:
    from serving import texts

    lines = Path(texts.__file__).read_text(encoding="utf-8").splitlines()
    imported = {line.split()[1].split(".")[0] for line in lines if line.startswith(("import ", "from "))}
    assert imported <= sys.stdlib_module_names
