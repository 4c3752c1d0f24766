"""From answers to the result: each beside its own row, or the file fails."""

import csv
import gzip
import io
import json
import random
import re
from typing import Any

import pytest
from execution import ARN, Execution

from failure import StepError
from model_answers import INCOMPLETE, NO_ANSWER, ONE, Said, reader

FOLDERS = ("rows", "answers", "request", "report", "result")
SOURCE = "id,text\na,Kind.\nb,\nc,Dear.\nd\ne,Slow.\n"
BAD = "expected 2 fields, found 1"


def best(number: int, score: float = 0.75) -> list[dict[str, Any]]:
    return [{"label": f"class {number}", "score": score}]


def joined(request: dict[str, Any]) -> str:
    """A line as SageMaker joins it."""
    return json.dumps({"SageMakerOutput": best(request["id"]), "id": request["id"]})


def alone(request: dict[str, Any]) -> str:
    return json.dumps(best(request["id"]))


def prepared(execution: Execution, *options: str, source: str = SOURCE, **put: Any) -> Execution:
    """The folder of an execution whose file was normalised, with an answer to each request."""
    execution.put(source, **put)
    execution.normalise("--max-bad-percent", "100", *options)
    execution.reply(joined)
    return execution


def result(execution: Execution, name: str = "answers.csv") -> str:
    return (execution.folder / "result" / name).read_bytes().decode()


def records(execution: Execution, name: str = "answers.jsonl") -> list[dict[str, Any]]:
    return [json.loads(line) for line in result(execution, name).split("\n") if line]


# What is written


def test_the_rows_come_back_in_their_order_with_answers_and_errors(execution: Execution) -> None:
    prepared(execution).answer("--max-bad-percent", "20")
    assert result(execution) == (
        "id,text,label,score,model_version,error\n"
        "a,Kind.,class 1,0.750000,3,\n"
        "b,,,,,no text\n"
        "c,Dear.,class 3,0.750000,3,\n"
        f',,,,,"{BAD}"\n'
        "e,Slow.,class 5,0.750000,3,\n"
    )


def test_the_summary_counts_and_tells_where_it_comes_from(execution: Execution) -> None:
    prepared(execution)
    labels = {1: ("bad", 0.5), 3: ("good", 0.25), 5: ("good", 0.5)}

    def line(request: dict[str, Any]) -> str:
        label, score = labels[request["id"]]
        return json.dumps({"id": request["id"], "SageMakerOutput": [{"label": label, "score": score}]})

    execution.reply(line)
    summary = execution.answer("--max-bad-percent", "20")
    assert summary == {
        "version": 1,
        "rows": 5,
        "answered": 3,
        "empty": 1,
        "bad": 1,
        "labels": {"good": 2, "bad": 1},
        "mean_scores": {"good": 0.375, "bad": 0.5},
        "errors": {"no text": 1, BAD: 1},
        "left_out_columns": [],
        "model_package_arn": ARN,
        "model_package_version": 3,
        "source": {"bucket": "data", "key": "input/june.csv", "version_id": "v1"},
        "execution_id": "abc123",
        "result_key": "output/june.csv",
    }
    assert list(summary["labels"]) == ["good", "bad"]


def test_json_lines_have_the_same_keys_in_each_row(execution: Execution) -> None:
    prepared(execution, result="answers.jsonl").answer("--format", "jsonl", "--max-bad-percent", "20")
    rows = records(execution)
    names = ["id", "text", "label", "score", "model_version", "error"]
    assert [list(row) for row in rows] == [names] * 5
    assert list(rows[0].values()) == ["a", "Kind.", "class 1", 0.75, 3, None]
    assert list(rows[1].values()) == ["b", "", None, None, None, "no text"]
    assert list(rows[3].values()) == [None, None, None, None, None, BAD]


def test_the_added_columns_have_the_declared_names(execution: Execution) -> None:
    names = ["--label-column", "theme", "--score-column", "confidence"]
    names += ["--version-column", "version", "--error-column", "why"]
    prepared(execution, *names, source="text,label\nKind.,old\n").answer(*names)
    header, row, _ = result(execution).split("\n")
    assert header == "text,label,theme,confidence,version,why"
    assert row == "Kind.,old,class 1,0.750000,3,"  # the file's own label is kept


def test_more_labels_stand_beside_the_first_and_missing_ones_are_empty(execution: Execution) -> None:
    options = ["--top-labels", "3"]
    prepared(execution, *options, source="text\nKind.\nDear.\n,\n\n", result="answers.jsonl")
    two = [{"label": "good", "score": 0.9}, {"label": "bad", "score": 0.1}]
    four = [*two, {"label": "c", "score": 1e-7}, {"label": "d", "score": 0}]
    answers = {1: two, 2: four}
    execution.reply(
        lambda request: json.dumps({"id": request["id"], "SageMakerOutput": answers[request["id"]]})
    )
    execution.answer(*options, "--format", "jsonl", "--max-bad-percent", "50")
    assert records(execution)[:2] == [
        {"text": "Kind.", "label": "good", "score": 0.9, "label_2": "bad", "score_2": 0.1}
        | {"label_3": None, "score_3": None, "model_version": 3, "error": None},
        {"text": "Dear.", "label": "good", "score": 0.9, "label_2": "bad", "score_2": 0.1}
        | {"label_3": "c", "score_3": 0.0, "model_version": 3, "error": None},
    ]
    prepared(execution, *options, source="text\nKind.\n")
    execution.reply(lambda _: json.dumps({"id": 1, "SageMakerOutput": two}))
    execution.answer(*options)
    assert result(execution) == (
        "text,label,score,label_2,score_2,label_3,score_3,model_version,error\n"
        "Kind.,good,0.900000,bad,0.100000,,,3,\n"
    )


def test_gzip_is_whole_and_the_same_each_time(execution: Execution) -> None:
    prepared(execution, result="answers.csv.gz").answer("--compression", "gzip", "--max-bad-percent", "20")
    packed = (execution.folder / "result/answers.csv.gz").read_bytes()
    assert gzip.decompress(packed).decode().startswith("id,text,label,")
    assert packed[4:8] == b"\0" * 4  # no time in it
    execution.answer("--compression", "gzip", "--max-bad-percent", "20")
    assert (execution.folder / "result/answers.csv.gz").read_bytes() == packed


def test_whatever_a_carried_value_is_it_comes_back(execution: Execution) -> None:
    chance = random.Random(13)
    rows = [
        ["".join(chance.choices('ab,;"\n\r é\u2028\x85\0😀', k=chance.randint(0, 12))) for _ in range(2)]
        + ["Kind."]
        for _ in range(500)
    ]
    stream = io.StringIO(newline="")
    csv.writer(stream, lineterminator="\r\n").writerows([["a", "b", "text"], *rows])
    prepared(execution, source=stream.getvalue()).answer()
    text = result(execution)
    back = list(csv.reader(io.StringIO(text, newline="")))
    assert [row[:3] for row in back[1:]] == rows
    assert all(row[3:] == [f"class {number}", "0.750000", "3", ""] for number, row in enumerate(back[1:], 1))


def test_json_values_are_json_in_a_csv_unless_they_are_text(execution: Execution) -> None:
    line = '{"text": "Kind.", "n": 1, "x": 1.5, "yes": true, "none": null, "all": [{"a": "é, b"}]}\n'
    prepared(execution, source=line, format="jsonl").answer()
    assert result(execution).split("\n")[1] == 'Kind.,1,1.5,true,,"[{""a"":""é, b""}]",class 1,0.750000,3,'


def test_json_values_keep_their_types_in_json_lines(execution: Execution) -> None:
    values = {"text": "Kind. \u2028 \ud83d", "n": 1, "x": 1.5, "yes": True, "none": None, "all": [{"a": [1]}]}
    prepared(execution, source=json.dumps(values) + "\n", format="jsonl", result="answers.jsonl")
    execution.answer("--format", "jsonl")
    (row,) = records(execution)
    assert {name: row[name] for name in values} == values
    assert len(result(execution, "answers.jsonl").splitlines()) == 1


def test_half_of_a_surrogate_pair_is_the_replacement_character_in_a_csv(execution: Execution) -> None:
    prepared(execution, source='{"text": "Kind \\ud83d.", "b": "\\ud83d\\ude00"}\n', format="jsonl").answer()
    assert result(execution).split("\n")[1].startswith("Kind \ufffd.,😀,")


OWN_KEYS = '{"id": 1, "text": "a"}\n{"text": "b", "id": 2}\n{"text": "c", "extra": [3]}\n[]\n'


def test_objects_keep_their_own_keys_in_json_lines(execution: Execution) -> None:
    prepared(execution, source=OWN_KEYS, format="jsonl", result="answers.jsonl")
    summary = execution.answer("--format", "jsonl", "--max-bad-percent", "25")
    added = ["label", "score", "model_version", "error"]
    assert [list(row) for row in records(execution)] == [
        ["id", "text", *added],
        ["text", "id", *added],
        ["text", "extra", *added],
        ["id", "text", *added],
    ]
    assert summary["left_out_columns"] == []


def test_a_csv_has_the_columns_of_the_first_object_and_the_summary_names_the_others(
    execution: Execution,
) -> None:
    summary = prepared(execution, source=OWN_KEYS, format="jsonl").answer("--max-bad-percent", "25")
    rows = list(csv.reader(io.StringIO(result(execution))))
    assert [row[:2] for row in rows] == [["id", "text"], ["1", "a"], ["2", "b"], ["", "c"], ["", ""]]
    assert summary["left_out_columns"] == ["extra"]


def test_a_file_without_rows_has_a_header_and_a_summary(execution: Execution) -> None:
    summary = prepared(execution, source="id,text\n").answer()
    assert result(execution) == "id,text,label,score,model_version,error\n"
    assert (summary["rows"], summary["labels"], summary["mean_scores"]) == (0, {}, {})


def test_a_file_in_which_nothing_was_asked_needs_no_answers(execution: Execution) -> None:
    execution.put("id,text\na,\nb, \n")
    execution.normalise()
    summary = execution.answer("--max-bad-percent", "0")
    assert not (execution.folder / "answers").exists()
    assert (summary["rows"], summary["answered"], summary["empty"]) == (2, 0, 2)
    assert result(execution).split("\n")[1:] == ["a,,,,,no text", "b, ,,,,no text", ""]


def test_rows_in_many_parts_are_one_result(execution: Execution) -> None:
    source = "id,text\n" + "".join(
        f"{number},{'' if number % 7 == 0 else 'a' * 300_000}\n" for number in range(1, 30)
    )
    for join in ("Input", "None"):
        prepared(execution, "--split", "None", "--carry", "id", source=source)
        execution.reply(joined if join == "Input" else alone)
        summary = execution.answer("--join", join)
        assert len(execution.json("report/report.json")["parts"]) > 5
        rows = list(csv.reader(io.StringIO(result(execution))))[1:]
        expected = ["" if number % 7 == 0 else f"class {number}" for number in range(1, 30)]
        assert [row[0] for row in rows] == [str(number) for number in range(1, 30)]
        assert [row[1] for row in rows] == expected
        assert summary["answered"] == 25


# What an answer may be


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        ([{"label": "a", "score": 0.5}], [("a", 0.5)]),
        ({"label": "a", "score": 0.5}, [("a", 0.5)]),
        ([{"label": "a", "score": 1}], [("a", 1)]),
        ([{"label": "", "score": -0.5, "more": 1}], [("", -0.5)]),
        ([{"label": "a", "score": 0.5}, {"label": "b", "score": "not looked at"}], [("a", 0.5)]),
        ([], None),
        ({}, None),
        (None, None),
        ("a", None),
        (5, None),
        ([[{"label": "a", "score": 0.5}]], None),
        (["a"], None),
        ([{"label": 5, "score": 0.5}], None),
        ([{"label": "a"}], None),
        ([{"label": "a", "score": True}], None),
        ([{"label": "a", "score": "0.5"}], None),
        ([{"label": "a", "score": float("inf")}], None),
        ([{"label": "a", "score": float("nan")}], None),
        ([{"label": "a", "score": 10**400}], None),
    ],
)
def test_an_answer_is_a_list_of_classes_or_one_class(answer: Any, found: Any) -> None:
    said = reader(ONE, 1)(answer)
    assert said == (None if found is None else [Said(found)])


@pytest.mark.parametrize(
    "line",
    ["{", "[]", "null", "\ufffd", '{"error": "no"}', '{"id": 3}', '{"id": 3, "SageMakerOutput": []}']
    + ['{"id": "3", "SageMakerOutput": [{"label": "a", "score": 1}]}']
    + ['{"id": 3, "SageMakerOutput": [{"label": "a", "score": NaN}]}'],
)
def test_a_line_that_cannot_be_read_is_no_answer_to_its_row(execution: Execution, line: str) -> None:
    prepared(execution).reply(lambda request: line if request["id"] == 3 else joined(request))
    summary = execution.answer("--max-bad-percent", "40")
    labels = [row["label"] for row in csv.DictReader(io.StringIO(result(execution)))]
    assert labels == ["class 1", "", "", "", "class 5"]
    assert summary["errors"] == {"no text": 1, NO_ANSWER: 1, BAD: 1}
    assert (summary["answered"], summary["bad"]) == (2, 2)


def test_a_line_that_is_not_utf_8_is_no_answer_to_its_row(execution: Execution) -> None:
    prepared(execution)
    path = execution.folder / "answers/part-00000.jsonl.out"
    path.write_bytes(path.read_bytes().replace(b"class 3", b"class \xe9"))
    assert execution.answer("--max-bad-percent", "40")["errors"][NO_ANSWER] == 1


def test_an_id_may_have_become_a_number_with_a_point(execution: Execution) -> None:
    prepared(execution).reply(lambda request: joined(request).replace('"id": 3', '"id": 3.0'))
    assert execution.answer("--max-bad-percent", "20")["answered"] == 3


def test_blank_lines_and_a_missing_last_line_end_do_not_matter(execution: Execution) -> None:
    for join, line in (("Input", joined), ("None", alone)):
        prepared(execution).reply(line)
        path = execution.folder / "answers/part-00000.jsonl.out"
        path.write_text("\n" + path.read_text().replace("\n", "\r\n\n").rstrip())
        assert execution.answer("--join", join, "--max-bad-percent", "20")["answered"] == 3


# Answers that do not fit the rows


def drop(*ids: int, line: Any = joined) -> Any:
    return lambda request: None if request["id"] in ids else line(request)


@pytest.mark.parametrize("missing", [(1,), (3,), (5,), (1, 3), (3, 5), (1, 3, 5)])
def test_a_missing_answer_leaves_its_own_row_without_one(
    execution: Execution, missing: tuple[int, ...]
) -> None:
    prepared(execution).reply(drop(*missing))
    summary = execution.answer("--max-bad-percent", "100")
    rows = list(csv.DictReader(io.StringIO(result(execution))))
    for number in (1, 3, 5):
        row = rows[number - 1]
        gone = number in missing
        assert row["label"] == ("" if gone else f"class {number}")
        assert (row["error"], row["model_version"]) == ((NO_ANSWER, "") if gone else ("", "3"))
    assert summary["bad"] == 1 + len(missing)


def test_too_few_answers_by_order_are_not_given_to_the_wrong_rows(execution: Execution) -> None:
    prepared(execution).reply(drop(1, line=alone))
    summary = execution.answer("--join", "None", "--max-bad-percent", "100")
    assert (summary["answered"], summary["errors"][INCOMPLETE]) == (0, 3)
    with pytest.raises(StepError, match="4 of 5 rows are bad, 80.0%"):
        execution.answer("--join", "None")


def test_an_unreadable_answer_by_order_is_none_to_its_row_alone(execution: Execution) -> None:
    prepared(execution).reply(lambda request: "{" if request["id"] == 3 else alone(request))
    execution.answer("--join", "None", "--max-bad-percent", "40")
    labels = [row["label"] for row in csv.DictReader(io.StringIO(result(execution)))]
    assert labels == ["class 1", "", "", "", "class 5"]


TOO_MANY = "part-00000.jsonl.out: line 4 is one too many: it answers "


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        ([1, 3, 5, 6], TOO_MANY + "row 6, and all rows of this part"),
        ([1, 3, 5, 5], TOO_MANY + "row 5, and all rows of this part"),
        ([1, 3, 5, None], TOO_MANY + "no row that it tells"),
        (
            [1, 1, 3, 5],
            "part-00000.jsonl.out: line 2 answers row 1, which was not asked or has its answer already; ",
        ),
        (
            [1, 2, 3, 5],
            "part-00000.jsonl.out: line 2 answers row 2, which was not asked or has its answer already; ",
        ),
        ([0, 1, 3, 5], "line 1 answers row 0, which was not asked or has its answer already; expected row 1"),
        ([1, 5, 3], "line 3 is one too many"),
        ([3, 1, 5], "line 2 answers row 1, which was not asked or has its answer already; expected row 5"),
        ([1, 4, 5], "line 2 answers row 4, which was not asked"),
        ([1, 3, 1.5], "line 3 answers row 2, which"),
    ],
)
def test_an_answer_too_many_or_to_another_row_fails_the_file(
    execution: Execution, ids: list[int | None], message: str
) -> None:
    prepared(execution)
    lines = ["{" if number is None else joined({"id": number}) for number in ids]
    (execution.folder / "answers/part-00000.jsonl.out").write_text("\n".join(lines))
    with pytest.raises(StepError) as refused:
        execution.answer("--max-bad-percent", "100")
    assert message in str(refused.value)
    assert list((execution.folder / "result").iterdir()) == []


def test_answers_by_order_that_are_too_many_fail_the_file(execution: Execution) -> None:
    prepared(execution).reply(lambda request: alone(request) + "\n[]" * (request["id"] == 5))
    with pytest.raises(StepError, match=r"^part-00000.jsonl.out: 4 answers to 3 rows that were asked$"):
        execution.answer("--join", "None", "--max-bad-percent", "100")


def test_a_part_without_answers_or_answers_without_part_fail_the_file(execution: Execution) -> None:
    prepared(execution)
    path = execution.folder / "answers/part-00000.jsonl.out"
    other = path.rename(path.with_name("part-00001.jsonl.out"))
    with pytest.raises(StepError, match=r"^answers: part-00000.jsonl.out is missing"):
        execution.answer("--max-bad-percent", "100")
    other.rename(path)
    other.write_text("")
    with pytest.raises(StepError, match=r"^answers: part-00001.jsonl.out belongs to no part that was asked"):
        execution.answer("--max-bad-percent", "100")


def test_rows_that_are_not_those_of_the_report_fail_the_file(execution: Execution) -> None:
    prepared(execution)
    path = execution.folder / "rows/part-00000.jsonl"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-2]))
    execution.reply(drop(5))
    with pytest.raises(
        StepError, match=r"rows: part-00000.jsonl: expected 5 rows, 3 of them asked, found 3 and 2"
    ):
        execution.answer("--max-bad-percent", "100")


def test_too_many_bad_rows_fail_the_file_and_leave_no_result(execution: Execution) -> None:
    prepared(execution).reply(drop(3))
    with pytest.raises(StepError) as refused:
        execution.answer("--max-bad-percent", "39")
    assert str(refused.value) == (
        "input/june.csv: 2 of 5 rows are bad, 40.0%, and at most 39% may be (input.max_bad_percent): "
        f"{NO_ANSWER} (row 3); {BAD} (row 4)"
    )
    assert list((execution.folder / "result").iterdir()) == []
    assert execution.answer("--max-bad-percent", "40")["bad"] == 2


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("answers.jsonl", []),
        ("answers.csv", ["--format", "jsonl"]),
        ("answers.csv.gz", []),
        ("answers.csv", ["--compression", "gzip"]),
    ],
)
def test_a_result_of_another_form_than_its_name_says_is_refused(
    execution: Execution, name: str, options: list[str]
) -> None:
    prepared(execution, result=name)
    with pytest.raises(
        StepError, match=rf"^request.json: result: expected a name that ends in .*{re.escape(name)}"
    ):
        execution.answer(*options)


# As a process


def test_the_script_tells_its_options(execution: Execution) -> None:
    run = execution.process("answer.py", "--help", folders=[])
    assert run.code == 0 and "--join" in run.out and "/opt/ml/processing/output/result" in run.out


def test_the_process_tells_what_was_answered(execution: Execution) -> None:
    prepared(execution)
    run = execution.process("answer.py", "--max-bad-percent", "20", folders=FOLDERS)
    assert run.code == 0 and run.error == ""
    first, *rest = run.out.splitlines()
    assert first.startswith("input/june.csv: 5 rows, of which 3 are answered; 1 have no text, 1 are bad (")
    assert rest == [f"  class {number}: 1, mean score 0.750" for number in (1, 3, 5)]


def test_a_failure_ends_the_process_with_one_line(execution: Execution) -> None:
    prepared(execution)
    run = execution.process("answer.py", folders=FOLDERS)
    assert (run.code, run.out) == (1, "")
    assert (
        run.error.startswith("error: input/june.csv: 1 of 5 rows are bad, 20.0%")
        and run.error.count("\n") == 1
    )


def test_memory_does_not_grow_with_the_rows(execution: Execution) -> None:
    def peak(rows: int) -> float:
        prepared(execution, source="id,text\n" + "1,The nurse was kind.\n" * rows)
        execution.reply(lambda request: joined({"id": request["id"]}).replace(str(request["id"]), "1", 1))
        run = execution.process("answer.py", folders=FOLDERS)
        assert run.code == 0
        return run.peak

    assert peak(50_000) < peak(100) + 5
