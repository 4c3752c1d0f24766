"""From labelled data files to the sets: what is read, dropped and refused, and how the rest is divided."""

import csv
import gzip
import json
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import failure
import preprocess
from data import readers
from failure import StepError

SETS = ("train", "validation", "test")
HEADER = ("text", "label")


class Result(NamedTuple):
    """What a run of preprocess.py left."""

    folder: Path
    report: dict[str, Any]
    labels: list[str]

    def rows(self, name: str) -> list[tuple[str, str, int]]:
        """Text, label's name and row number of a set."""
        table = pq.read_table(self.folder / name / "data.parquet")
        return [(row["text"], self.labels[row["label"]], row["row"]) for row in table.to_pylist()]

    def everything(self) -> list[tuple[str, str, int]]:
        """The rows of all sets, by their number."""
        return sorted((row for name in SETS for row in self.rows(name)), key=lambda row: row[2])

    @property
    def dropped(self) -> dict[str, int]:
        """How many rows of the data were dropped for what, without the zeros."""
        return {reason: count for reason, count in self.report["input"]["dropped"].items() if count}


Run = Callable[..., Result]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """The input folder."""
    folder = tmp_path / "data"
    folder.mkdir()
    return folder


@pytest.fixture
def run(tmp_path: Path, data: Path) -> Run:
    """Runs the step on the input folder; options are given without dashes."""

    def run(**options: Any) -> Result:
        options = {
            "input": data,
            "output": tmp_path / "out",
            "text_column": "text",
            "label_column": "label",
        } | options
        arguments: list[str] = []
        for name, value in options.items():
            for item in value if isinstance(value, list) else [value]:
                arguments += [f"--{name.replace('_', '-')}", str(item)]
        preprocess.main(arguments)
        report = json.loads((options["output"] / "report" / "data_report.json").read_text(encoding="utf-8"))
        content = json.loads((options["output"] / "train" / "labels.json").read_text(encoding="utf-8"))
        return Result(options["output"], report, content["targets"][0]["labels"])

    return run


def write_csv(
    path: Path, rows: Iterable[Iterable[str]], header: Iterable[str] = HEADER, **options: Any
) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding=options.pop("encoding", "utf-8")) as file:
        writer = csv.writer(file, **options)
        writer.writerow(header)
        writer.writerows(rows)


def some(count: int, *labels: str, start: str = "text") -> list[tuple[str, str]]:
    """Different texts, as many of each label."""
    return [(f"{start} {label} {number}", label) for number in range(count) for label in labels]


# Reading


def test_the_layout_that_training_and_evaluation_read(run: Run, data: Path) -> None:
    write_csv(data / "a.csv", some(10, "billing", "alarm"))
    result = run()
    for name in SETS:
        table = pq.read_table(result.folder / name / "data.parquet")
        assert table.schema.remove_metadata() == pa.schema(
            [("text", pa.string()), ("label", pa.int32()), ("row", pa.int64())]
        )
    target = {"name": "label", "kind": "one", "labels": ["alarm", "billing"]}
    text = {"columns": ["text"], "join": "blank_line"}
    expected = {"targets": [target], "text": text, "redact": None}
    for name in (*SETS, "report"):
        assert json.loads((result.folder / name / "labels.json").read_text()) == expected
    assert [path.name for path in sorted(result.folder.iterdir())] == [
        "report",
        "test",
        "train",
        "validation",
    ]
    assert [(text, label) for text, label, _ in result.everything()] == some(10, "billing", "alarm")
    assert [row for _, _, row in result.everything()] == list(range(1, 21))


def test_all_formats_are_read_together_from_nested_folders_in_the_order_of_names(
    run: Run, data: Path
) -> None:
    rows = some(12, "a", "b")
    write_csv(data / "1" / "one.csv", rows[:6])
    packed = "".join(
        json.dumps({"label": label, "text": text, "more": [1]}) + "\n" for text, label in rows[6:12]
    )
    (data / "1" / "two.JSONL.GZ").write_bytes(gzip.compress(packed.encode()))
    write_csv(data / "plain.csv", rows[12:15])
    (data / "2").mkdir()
    (data / "2" / "three.csv.gz").write_bytes(gzip.compress((data / "plain.csv").read_bytes()))
    (data / "plain.csv").unlink()
    (data / "3.ndjson").write_text("\n".join(json.dumps({"text": t, "label": x}) for t, x in rows[15:18]))
    pq.write_table(
        pa.table({"label": [x for _, x in rows[18:]], "text": [t for t, _ in rows[18:]]}), data / "4.parquet"
    )
    (data / "_SUCCESS").touch()
    (data / ".hidden").mkdir()
    (data / ".hidden" / "x.csv").write_text("nothing")
    result = run()
    assert [(text, label) for text, label, _ in result.everything()] == rows
    assert [file["name"] for file in result.report["input"]["files"]] == [
        "1/one.csv",
        "1/two.JSONL.GZ",
        "2/three.csv.gz",
        "3.ndjson",
        "4.parquet",
    ]
    assert [file["rows"] for file in result.report["input"]["files"]] == [6, 6, 3, 3, 6]


def test_a_single_file_may_be_the_input_and_a_declared_format_wins_over_the_name(
    run: Run, data: Path
) -> None:
    write_csv(data / "part-0000", some(5, "a", "b"))
    assert run(input=data / "part-0000", format="csv").report["input"]["rows"] == 10
    with pytest.raises(StepError, match=r"part-0000: the name does not tell the format; expected \.csv"):
        run()


def test_values_are_never_guessed_at(run: Run, data: Path) -> None:
    texts = ["N/A", "null", "1.50", "TRUE", "2020-01-01", "NaN"]
    rows = [
        (f"{text}{mark}", label)
        for label, mark in (("007", ""), ("1.0", "!"), ("null", "?"))
        for text in texts
    ]
    write_csv(data / "a.csv", rows)
    result = run()
    assert result.labels == ["007", "1.0", "null"]
    assert [(text, label) for text, label, _ in result.everything()] == rows


def test_numbers_and_booleans_of_json_lines_are_kept_as_they_are_written(run: Run, data: Path) -> None:
    lines = [
        f'{{"text": {10 + number}.50, "label": {label}}}'
        for number in range(4)
        for label in ("1", "1.0", "true")
    ]
    lines = [line.replace(".50", f".5{index}0") for index, line in enumerate(lines)]
    (data / "a.jsonl").write_text("\n".join(lines))
    result = run()
    assert result.labels == ["1", "1.0", "true"]
    assert result.everything()[0][0] == "10.500"


def test_parquet_columns_of_other_types_are_read_as_text(run: Run, data: Path) -> None:
    texts, labels = zip(*some(4, "a", "b", "c"), strict=True)
    kinds = pa.array(labels).dictionary_encode()
    pq.write_table(pa.table({"text": pa.array(texts, pa.large_string()), "label": kinds}), data / "a.parquet")
    assert run().labels == ["a", "b", "c"]
    pq.write_table(pa.table({"text": texts, "label": [7, 8] * 6}), data / "a.parquet")
    assert run().labels == ["7", "8"]
    pq.write_table(pa.table({"text": texts, "label": [["x"]] * 12}), data / "a.parquet")
    with pytest.raises(StepError, match=r"a\.parquet: label: expected text or a number, found list"):
        run()
    (data / "a.parquet").write_bytes(b"PAR1" + bytes(100))
    with pytest.raises(StepError, match=r"a\.parquet: cannot be read as parquet"):
        run()


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
def test_line_endings_byte_order_mark_and_quoted_line_breaks(run: Run, data: Path, ending: str) -> None:
    rows = [
        (f'Hello, "you" {number}{ending}of {label}', label) for number in range(4) for label in ("a", "b")
    ]
    write_csv(data / "a.csv", rows, encoding="utf-8-sig", lineterminator=ending)
    result = run()
    assert [(text, label) for text, label, _ in result.everything()] == [
        (text.replace(ending, "\n"), label) for text, label in rows
    ]
    assert result.report["sets"]["test"]["texts_with_line_break_share"] == 1.0


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "windows-1252", "utf-8-sig", "UTF8"])
@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_files_of_a_declared_encoding(run: Run, data: Path, encoding: str, suffix: str) -> None:
    rows = some(4, "é", "ü", start="Où — “quoted”")
    if suffix == ".csv":
        write_csv(data / "a.csv", rows, encoding=encoding)
    else:
        lines = [json.dumps({"text": text, "label": label}, ensure_ascii=False) for text, label in rows]
        (data / "a.jsonl").write_bytes("\n".join(lines).encode(encoding))
    assert [(text, label) for text, label, _ in run(encoding=encoding).everything()] == rows


def test_several_columns_are_joined_and_an_empty_one_leaves_no_separator(run: Run, data: Path) -> None:
    rows = [
        (f"Subject {number}", " " if number % 2 else f" Body {number}\n", "ab"[number % 2])
        for number in range(8)
    ]
    write_csv(data / "a.csv", rows, ("subject", "body", "label"))
    result = run(text_column=["subject", "body"], join="newline")
    assert [text for text, _, _ in result.everything()][:2] == ["Subject 0\nBody 0", "Subject 1"]
    labels = json.loads((result.folder / "report" / "labels.json").read_text())
    assert labels["text"] == {"columns": ["subject", "body"], "join": "newline"}


def test_a_row_longer_than_a_block_is_read_and_no_row_is_read_twice(
    run: Run, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readers, "BLOCK", 1000)
    rows = [*some(100, "a", "b"), ("long " * 2000, "a"), *some(100, "a", "b", start="later")]
    write_csv(data / "a.csv", rows)
    result = run()
    assert [text for text, _, _ in result.everything()] == [text.strip() for text, _ in rows]
    monkeypatch.setattr(readers, "LONGEST_ROW", 2000)
    with pytest.raises(StepError, match=r"a\.csv: a row after row \d+ is longer than"):
        run()


def test_files_without_rows_are_named_in_a_warning(run: Run, data: Path) -> None:
    write_csv(data / "a.csv", some(4, "a", "b"))
    (data / "empty.csv").touch()
    (data / "header.csv").write_text("text,label")
    (data / "header2.csv").write_text("text,label\r\n\r\n")
    (data / "blank.jsonl").write_text("\n \n")
    pq.write_table(
        pa.table({"text": pa.array([], pa.string()), "label": pa.array([], pa.string())}), data / "z.parquet"
    )
    result = run()
    assert result.report["input"]["rows"] == 8
    assert result.report["warnings"] == [
        f"{name}: no rows" for name in ("blank.jsonl", "empty.csv", "header.csv", "header2.csv", "z.parquet")
    ]


# Files that are refused


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", b"", r"a\.csv: expected rows of data, found none"),
        ("a.csv", b"text,label\n", r"a\.csv: expected rows of data, found none"),
        (
            "a.csv",
            b"text,label\na,b\nc\n",
            r"a\.csv: row 2: expected 2 values \(text, label\), found 1: \"c\"; put",
        ),
        (
            "a.csv",
            b'text,label\n"a\nb",b\n\nc,d,e\n',
            r"row 2: expected 2 values \(text, label\), found 3: \"c,d,e\"",
        ),
        (
            "a.csv",
            b'text,label\na,b\n"c,d\ne,f\n',
            r"row 2: expected 2 values .*found 1 \(is a quote left open\?\)",
        ),
        (
            "a.csv",
            b'text,label\na,b\nc,"d\ne,f\n',
            r"a\.csv: row 2: a quoted value begins here and never ends",
        ),
        ("a.csv", b'text,label\na,b\nc,"d', r"a\.csv: row 2: a quoted value begins here and never ends"),
        (
            "a.csv",
            b"Text,label\na,b\n",
            r"expected a column 'text', found 'Text', 'label'; did you mean 'Text'\?",
        ),
        ("a.csv", b"text,labels\na,b\n", r"expected a column 'label', found .*; did you mean 'labels'\?"),
        ("a.csv", b"text;label\na;b\n", r"the values seem to be separated by ';': save the file with commas"),
        (
            "a.csv",
            b"text,label,text\na,b,c\n",
            r"a\.csv: expected one column 'text', found 2; rename one of them",
        ),
        (
            "a.csv",
            b"text,label\na,b\nc\xe9,d\n",
            r"line 3, byte 16: expected utf-8, found 0xe9 .*windows-1252",
        ),
        (
            "a.csv",
            "text,label\na,b".encode("utf-16"),
            r"a\.csv: expected a column 'text'.*declare data.encoding: utf-16",
        ),
        ("a.csv", "text,label\na,b".encode("utf-16-be"), r"looks like UTF-16: declare data.encoding: utf-16"),
        (
            "a.jsonl",
            b'{"text": "a", "label": "b"}\n{"text": "\xff"}',
            r"a\.jsonl: line 2, byte 38: expected utf-8, found 0xff",
        ),
        (
            "a.jsonl",
            b'{"text": "a", "label": "b"}\n\n{"text": ',
            r"a\.jsonl: line 3: expected a JSON object: Expecting value",
        ),
        ("a.jsonl", b'[{"text": "a"}]', r"line 1: expected a JSON object on each line, found an array"),
        (
            "a.jsonl",
            b'{"text": "a", "label": {"x": 1}}',
            r"line 1: label: expected text or a number, found an object",
        ),
        (
            "a.jsonl",
            b'{"text": "a", "lable": "b"}',
            r"expected a column 'label', found 'text', 'lable'; did you mean 'lable'",
        ),
        ("a.csv.gz", b"text,label\na,b\n", r"a\.csv\.gz: expected a whole gzip file: Not a gzipped file"),
        (
            "a.csv.gz",
            gzip.compress(b"text,label\n" + b"a,b\n" * 999)[:-9],
            r"expected a whole gzip file: Compressed file ended",
        ),
        ("a.txt", b"text", r"a\.txt: the name does not tell the format; expected \.csv"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_with_file_place_and_advice(
    run: Run, data: Path, name: str, content: bytes, message: str
) -> None:
    (data / name).write_bytes(content)
    with pytest.raises(StepError, match=message):
        run()


def test_an_odd_number_of_quotes_is_no_error_when_every_value_ends(run: Run, data: Path) -> None:
    rows = "".join(f'pipe of {number}" and a flange,{"ab"[number % 2]}\n' for number in range(9))
    (data / "a.csv").write_text("text,label\n" + rows)
    assert run().report["input"]["rows"] == 9


def test_a_wrong_byte_is_found_in_the_unpacked_content_of_a_declared_encoding(run: Run, data: Path) -> None:
    content = ("text,label\n" + "é,a\n" * 400_000).encode("utf-8") + b"\xff,a\n"
    (data / "a.csv.gz").write_bytes(gzip.compress(content, 1))
    expected = r"a\.csv\.gz: line 400,002, unpacked byte 2,000,011: expected utf-8, found 0xff"
    with pytest.raises(StepError, match=expected):
        run()
    (data / "a.csv.gz").unlink()
    (data / "a.csv").write_bytes("text,label\né,a\n".encode("windows-1252") + b"\x81,a\n")
    with pytest.raises(StepError, match=r"a\.csv: line 3, byte 15: expected windows-1252, found 0x81"):
        run(encoding="windows-1252")


@pytest.mark.parametrize("encoding", ["utf-9", "base64"])
def test_an_unknown_encoding_is_refused(run: Run, data: Path, encoding: str) -> None:
    write_csv(data / "a.csv", some(4, "a", "b"))
    with pytest.raises(
        StepError, match=rf"data\.encoding: expected an encoding that Python knows .*, got '{encoding}'"
    ):
        run(encoding=encoding)


def test_a_utf_8_file_declared_otherwise_is_refused_when_it_says_what_it_is(run: Run, data: Path) -> None:
    write_csv(data / "a.csv", some(4, "a", "b"), encoding="utf-8-sig")
    with pytest.raises(StepError, match=r"expected windows-1252, found the byte order mark of UTF-8"):
        run(encoding="windows-1252")


def test_an_input_without_files_is_refused(run: Run, data: Path) -> None:
    with pytest.raises(StepError, match=r"data: expected data files \(\.csv, .*found none"):
        run()
    with pytest.raises(StepError, match=r"absent: expected data files"):
        run(input=data / "absent")


# Rows that are dropped or refused


def test_empty_and_duplicate_texts_are_dropped_and_counted(run: Run, data: Path) -> None:
    extra = [
        ("", "a"),
        (" \u200b\r\n", "b"),
        ("", ""),
        ("text a 0", "a"),
        ("  text a 0\r\n", " a"),
        ("text b 1", "b"),
    ]
    write_csv(data / "a.csv", [*extra[:3], *some(5, "a", "b"), *extra[3:]])
    result = run()
    assert result.dropped == {"empty_text": 3, "duplicate": 3}
    assert [row for _, _, row in result.everything()] == list(range(4, 14)), "the first of equal rows is kept"


def test_rows_with_missing_or_contradictory_labels_are_dropped_below_the_declared_share(
    run: Run, data: Path
) -> None:
    bad = [("no label", ""), ("both", "a"), ("both", "b"), ("both", "a")]
    write_csv(data / "a.csv", [*bad, *some(8, "a", "b")])
    result = run(max_bad_label_share=0.2)
    assert result.dropped == {"missing_label": 1, "contradictory_label": 3}
    assert [(text, label) for text, label, _ in result.everything()] == some(8, "a", "b")


def test_more_bad_labels_than_declared_are_refused_with_the_first_of_them(
    run: Run, data: Path, tmp_path: Path
) -> None:
    write_csv(data / "a.csv", [*some(3, "a", "b"), ("late", " "), ("both\nlines " + "x" * 90, "a")])
    write_csv(data / "b.csv", [("both\r\nlines " + "x" * 90, "b"), ("y", "a")])
    with pytest.raises(StepError) as error:
        run(max_bad_label_share=0.2)
    first, *lines = str(error.value).splitlines()
    assert (
        "expected at most 20.00% of 10 rows without a label or with a contradictory one, found 30.00%"
        in first
    )
    assert "1 without a label, 2 whose text has different labels" in first
    assert lines == [
        '  a.csv row 7: no label: "late"',
        f"  a.csv row 8 'a', b.csv row 1 'b': \"both lines {'x' * 49}…\"",
    ]
    assert list((tmp_path / "out").iterdir()) == [], "nothing is left behind"


def test_a_key_that_some_records_lack_is_a_missing_label(run: Run, data: Path) -> None:
    lines = [json.dumps({"text": text, "label": label}) for text, label in some(5, "a", "b")]
    lines += [
        '{"text": "x"}',
        '{"text": "y", "label": null}',
        '{"label": "a"}',
        '{"text": "cut \\ud83d", "label": "a"}',
    ]
    (data / "a.jsonl").write_text("\n".join(lines))
    result = run(max_bad_label_share=0.5)
    assert result.dropped == {"missing_label": 2, "empty_text": 1}
    assert result.everything()[-1][0] == "cut \ufffd"


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (some(9, "a"), r"expected at least two classes in 'label', found 'a'"),
        ([("", "a")] * 3, r"expected at least two classes in 'label', found no usable row"),
        (
            [*some(9, "a", "b"), ("x", "c"), ("y", "c"), ("z", "d")],
            r"expected at least 3 texts of each class, .* found fewer of 'c' \(2\), 'd' \(1\); add",
        ),
    ],
)
def test_classes_that_cannot_be_both_trained_and_measured_are_refused(
    run: Run, data: Path, rows: list[tuple[str, str]], message: str
) -> None:
    write_csv(data / "a.csv", rows)
    with pytest.raises(StepError, match=message):
        run()


def test_a_label_column_with_as_many_values_as_texts_is_refused(run: Run, data: Path) -> None:
    write_csv(data / "a.csv", ((f"text {number}", f"label {number}") for number in range(10_001)))
    with pytest.raises(
        StepError, match=r"found more than 10,000 values in 'label'; name the column that holds"
    ):
        run()


# The division


def test_every_class_is_divided_exactly_and_the_sums_are_exact(run: Run, data: Path) -> None:
    write_csv(data / "a.csv", [*some(100, "a"), *some(40, "b"), *some(10, "c")])
    result = run()
    assert [result.report["sets"][name]["texts"] for name in SETS] == [105, 23, 22]
    assert result.report["labels"]["a"] == {"train": 70, "validation": 15, "test": 15, "total": 100}
    assert result.report["labels"]["b"] == {"train": 28, "validation": 6, "test": 6, "total": 40}
    assert result.report["labels"]["c"] == {"train": 7, "validation": 2, "test": 1, "total": 10}


def test_a_class_of_three_texts_has_one_in_every_set(run: Run, data: Path) -> None:
    write_csv(data / "a.csv", [*some(100, "a"), *some(3, "b", "c", "d")])
    for label in "bcd":
        assert run().report["labels"][label] == {"train": 1, "validation": 1, "test": 1, "total": 3}


def test_the_same_data_gives_the_same_sets_whatever_the_order_and_another_seed_gives_others(
    run: Run, data: Path, tmp_path: Path
) -> None:
    rows = some(60, "a", "b", "c")
    write_csv(data / "a.csv", rows)
    first, again = run(output=tmp_path / "1"), run(output=tmp_path / "2")
    for path in sorted(path for path in first.folder.rglob("*") if path.is_file()):
        assert path.read_bytes() == (again.folder / path.relative_to(first.folder)).read_bytes(), path.name
    other_seed = run(output=tmp_path / "3", seed=14)
    (data / "a.csv").unlink()
    write_csv(data / "z.csv", rows[100:][::-1])
    write_csv(data / "b" / "y.csv", rows[:100])
    shuffled = run(output=tmp_path / "4")

    def content(result: Result) -> list[set[str]]:
        return [{text for text, _, _ in result.rows(name)} for name in SETS]

    assert content(shuffled) == content(first)
    assert content(other_seed) != content(first)


def conversations(groups: int, seed: int = 1) -> list[tuple[str, str, str]]:
    """Text, label and group; groups of 1 to 12 texts that mostly have one label."""
    chance = np.random.default_rng(seed)
    rows = []
    for group in range(groups):
        main = chance.choice(["a", "b", "c"], p=[0.6, 0.3, 0.1])
        for number in range(int(chance.integers(1, 13))):
            label = main if chance.random() < 0.8 else chance.choice(["a", "b", "c"])
            rows.append((f"message {number} of {group}", str(label), f"group {group}"))
    return rows


def test_no_group_is_in_two_sets_and_classes_are_divided_nearly_as_declared(run: Run, data: Path) -> None:
    rows = conversations(200)
    write_csv(data / "a.csv", rows, ("text", "label", "group"))
    result = run(group_column="group")
    group_of = {text: group for text, _, group in rows}
    sets_of = defaultdict(set)
    for name in SETS:
        for text, _, _ in result.rows(name):
            sets_of[group_of[text]].add(name)
    assert all(len(names) == 1 for names in sets_of.values())
    assert len(result.everything()) == len(rows)
    for label, counts in result.report["labels"].items():
        for name, fraction in zip(SETS, (0.7, 0.15, 0.15), strict=True):
            assert counts[name] / counts["total"] == pytest.approx(fraction, abs=0.03), label
    assert result.report["groups"] == {"groups": 200, "rows_without_group": 0}
    assert result.report["warnings"] == []


def test_rows_without_a_group_are_groups_by_themselves_and_make_the_division_exact(
    run: Run, data: Path
) -> None:
    rows = [*conversations(20), *((f"single {number}", "abc"[number % 3], "") for number in range(600))]
    write_csv(data / "a.csv", rows, ("text", "label", "group"))
    result = run(group_column="group")
    total = len(rows)
    assert result.report["sets"]["test"]["texts"] == pytest.approx(total * 0.15, abs=1)
    assert result.report["sets"]["validation"]["texts"] == pytest.approx(total * 0.15, abs=1)
    assert result.report["groups"] == {"groups": 620, "rows_without_group": 600}


def test_groups_that_cannot_be_divided_are_refused_or_warned_of(run: Run, data: Path) -> None:
    write_csv(
        data / "a.csv",
        [(f"t{n}", "ab"[n % 2], "g" if n < 50 else "h") for n in range(90)],
        (*HEADER, "group"),
    )
    with pytest.raises(
        StepError, match=r"expected at least 3 groups by 'group' of each class.*'a' \(2\), 'b' \(2\)"
    ):
        run(group_column="group")
    write_csv(data / "a.csv", [(f"t{n}", "ab"[n % 2], f"g{n % 3}") for n in range(90)], (*HEADER, "group"))
    result = run(group_column="group")
    assert [result.report["sets"][name]["texts"] for name in SETS] == [30, 30, 30]
    assert (
        result.report["warnings"][0]
        == "train has 30 texts instead of 63: the groups by 'group' are too large"
    )


# A test set of one's own


def test_with_a_test_set_the_rest_is_train_and_validation_without_its_texts(
    run: Run, data: Path, tmp_path: Path
) -> None:
    write_csv(data / "a.csv", some(40, "a", "b"))
    own = [
        *some(3, "a", "b", start="own"),
        ("text a 0", "a"),
        (" text b 1 ", "a"),
        ("own a 0", "a"),
        ("", "a"),
    ]
    write_csv(tmp_path / "mine" / "test.csv", own)
    result = run(test_input=tmp_path / "mine")
    assert result.dropped == {"also_in_test": 2}
    assert [text for text, _, _ in result.rows("test")] == [text.strip() for text, _ in own[:8]]
    assert [row for _, _, row in result.rows("test")] == list(range(1, 9))
    assert result.report["test_input"]["dropped"]["duplicate"] == 1
    assert [result.report["sets"][name]["texts"] for name in SETS] == [64, 14, 8]
    train = {text for name in ("train", "validation") for text, _, _ in result.rows(name)}
    assert not train & {"text a 0", "text b 1"}
    assert result.report["settings"]["fractions"]["test"] == 0


def test_a_test_set_whose_labels_do_not_match_is_refused_or_warned_of(
    run: Run, data: Path, tmp_path: Path
) -> None:
    write_csv(data / "a.csv", some(9, "a", "b"))
    write_csv(tmp_path / "test.csv", [("x", "A"), ("y", "a")])
    with pytest.raises(StepError, match=r"data\.test_source: expected labels of the data, found also 'A'"):
        run(test_input=tmp_path / "test.csv")
    write_csv(tmp_path / "test.csv", [("x", "a")])
    assert run(test_input=tmp_path / "test.csv").report["warnings"] == ["test has no text of 'b'"]


# The report


def test_the_report_tells_what_the_texts_are_like_without_quoting_any(run: Run, data: Path) -> None:
    texts = ["Ça va 12", "one two\nthree", "电梯 坏了"]
    write_csv(
        data / "a.csv", [(f"{text}{'!' * number}", "ab"[number % 2]) for text in texts for number in range(8)]
    )
    result = run(train_fraction=0.5, validation_fraction=0.25, test_fraction=0.25)
    report = (result.folder / "report" / "data_report.json").read_text(encoding="utf-8")
    assert "one two" not in report
    everything = [text for text, _, _ in result.everything()]
    rows = [text for text, _, _ in result.rows("train")]
    train = result.report["sets"]["train"]
    assert train["texts"] == len(rows) == len(everything) // 2
    lengths = sorted(map(len, rows))
    assert (train["characters"]["min"], train["characters"]["max"]) == (lengths[0], lengths[-1])
    assert train["characters"]["p50"] == lengths[len(lengths) // 2 - 1]
    assert train["words"]["mean"] == pytest.approx(np.mean([len(text.split()) for text in rows]), abs=0.01)
    characters = "".join(rows)
    non_ascii = sum(not character.isascii() for character in characters) / len(characters)
    assert train["non_ascii_share"] == pytest.approx(non_ascii, abs=1e-4)
    assert train["digit_share"] == pytest.approx(
        sum(c.isdigit() for c in characters) / len(characters), abs=1e-4
    )
    assert train["texts_with_line_break_share"] == pytest.approx(
        sum("\n" in t for t in rows) / len(rows), abs=1e-4
    )
    counts = Counter(label for _, label, _ in result.everything())
    assert {label: row["total"] for label, row in result.report["labels"].items()} == counts


def test_the_content_hash_depends_on_the_content_and_not_on_the_folder(
    run: Run, data: Path, tmp_path: Path
) -> None:
    write_csv(data / "a.csv", some(4, "a", "b"))
    write_csv(tmp_path / "elsewhere" / "a.csv", some(4, "a", "b"))
    first, moved = run(), run(input=tmp_path / "elsewhere")
    write_csv(data / "a.csv", some(5, "a", "b"))
    hashes = [result.report["input"]["content_sha256"] for result in (first, moved, run())]
    assert hashes[0] == hashes[1] != hashes[2]


# The command line


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"train_fraction": 0.9}, r"split: expected fractions whose sum is 1, got 0\.9 \+ 0\.15 \+ 0\.15"),
        ({"train_fraction": 0.85, "test_fraction": 0}, r"split: expected fractions above 0, got .*test 0"),
        ({"max_bad_label_share": 2}, r"data\.max_bad_label_share: expected a number from 0 to 1, got 2"),
        ({"text_column": ["text", "label"]}, r"expected different columns, got text, label, label"),
        ({"group_column": "text"}, r"data\.group_column: expected another column than a text column"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(run: Run, options: dict[str, Any], message: str) -> None:
    with pytest.raises(StepError, match=message):
        run(**options)


def test_a_mistake_in_the_data_ends_the_process_with_one_message_and_no_traceback(
    data: Path, tmp_path: Path
) -> None:
    (data / "a.csv").write_text("text,label\na,b\nc\n")
    command = [sys.executable, preprocess.__file__, "--input", str(data), "--output", str(tmp_path / "out")]
    command += ["--text-column", "text", "--label-column", "label"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith("error: a.csv: row 2: expected 2 values")
    assert len(done.stderr.splitlines()) == 1


def test_the_message_is_left_where_sagemaker_looks_for_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> None:
        raise StepError("x" * 2000)

    message = tmp_path / "ml" / "output" / "message"
    assert failure.run(fail, message) == 1
    assert not message.parent.exists(), "outside a container nothing is written"
    (tmp_path / "ml").mkdir()
    assert failure.run(fail, message) == 1
    assert message.read_text() == "x" * 1024
    assert "Traceback" not in capsys.readouterr().err
    assert failure.run(lambda: None, message) == 0
