"""From a file of rows to requests: what the model is given, what is kept, what is refused."""

import csv
import gzip
import io
import json
from pathlib import Path
from typing import Any

import pytest
from execution import Execution

import parts
from counts import KINDS, OTHER, REPORTED, Tally
from failure import StepError
from json_lines import DEEPEST
from parts import target_size
from readers import is_empty

FOLDERS = ("source", "request", "requests", "rows", "report")


def asked(execution: Execution) -> list[Any]:
    return [request["inputs"] for request in execution.requests()]


def lines(*records: Any) -> str:
    return "".join(json.dumps(record) + "\n" for record in records)


# What is written


def test_each_row_is_kept_and_asked(execution: Execution) -> None:
    execution.put("id,text,date\na7,The nurse was kind.,2026-06-01\nb8,Parking is dear.,2026-06-02\n")
    report = execution.normalise()
    assert execution.requests() == [
        {"id": 1, "inputs": "The nurse was kind.", "parameters": {"top_k": 1}},
        {"id": 2, "inputs": "Parking is dear.", "parameters": {"top_k": 1}},
    ]
    assert execution.rows() == [
        {"id": 1, "values": ["a7", "The nurse was kind.", "2026-06-01"], "error": None, "asked": True},
        {"id": 2, "values": ["b8", "Parking is dear.", "2026-06-02"], "error": None, "asked": True},
    ]
    assert report == {
        "version": 1,
        "rows": 2,
        "asked": 2,
        "empty": 0,
        "bad": 0,
        "columns": ["id", "text", "date"],
        "other_columns": [],
        "errors": {},
        "words": {"3": 1, "4": 1},
        "parts": [{"rows": 2, "asked": 2}],
    }


def test_the_declared_columns_are_carried_in_their_order(execution: Execution) -> None:
    execution.put("id,text,date\na7,Kind.,2026\n")
    assert execution.normalise("--carry", "date", "--carry", "id")["columns"] == ["date", "id"]
    assert execution.rows()[0]["values"] == ["2026", "a7"]


def test_several_text_columns_are_sent_by_name_in_the_declared_order(execution: Execution) -> None:
    execution.put("body,subject\nIt drips.,Tap\n,Only a subject\n , \n")
    report = execution.normalise(text=["subject", "body"])
    assert list(map(list, map(dict.items, asked(execution)))) == [
        [("subject", "Tap"), ("body", "It drips.")],
        [("subject", "Only a subject"), ("body", "")],
    ]
    assert (report["empty"], execution.errors()) == (1, [None, None, "no text"])


def test_the_text_is_not_changed(execution: Execution) -> None:
    text = "  Über \r\n \U0001f600 \t\u200b “quoted”, \0 and\x85\u2028so on  "
    stream = io.StringIO(newline="")
    csv.writer(stream).writerows([["text"], [text]])
    execution.put(stream.getvalue())
    execution.normalise()
    assert asked(execution) == [text]
    assert execution.rows()[0]["values"] == [text]


def test_as_many_labels_are_asked_for_as_the_result_has(execution: Execution) -> None:
    execution.put("text\nKind.\n")
    execution.normalise("--top-labels", "3")
    assert execution.requests()[0]["parameters"] == {"top_k": 3}


@pytest.mark.parametrize("text", ["", " ", "\t\u00a0\u200b\ufeff", "\r\n", "\0"])
def test_a_text_of_which_nothing_is_left_is_not_asked_and_not_bad(execution: Execution, text: str) -> None:
    stream = io.StringIO(newline="")
    csv.writer(stream).writerows([["id", "text"], ["1", text], ["2", "Kind."]])
    execution.put(stream.getvalue())
    report = execution.normalise("--max-bad-percent", "0")
    assert (report["asked"], report["empty"], report["bad"]) == (1, 1, 0)
    assert report["errors"] == {"no text": 1}
    assert execution.rows()[0] == {"id": 1, "values": ["1", text], "error": "no text", "asked": False}
    assert execution.requests()[0]["id"] == 2


def test_a_character_that_is_whitespace_to_python_is_nothing() -> None:
    nothing = [chr(code) for code in range(0x110000) if is_empty(chr(code))]
    assert set(filter(str.isspace, map(chr, range(0x110000)))) == set(nothing) - {"\0", "\u200b", "\ufeff"}


# Encodings and line ends


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_a_byte_order_mark_is_no_part_of_the_first_name(execution: Execution, encoding: str) -> None:
    execution.put("\ufefftext,id\r\nCafé,1\r\n")
    assert execution.normalise("--encoding", encoding)["columns"] == ["text", "id"]
    assert asked(execution) == ["Café"]


def test_a_byte_order_mark_before_an_object_is_none_of_it(execution: Execution) -> None:
    execution.put('\ufeff{"text": "Café"}\r\n', "jsonl")
    execution.normalise("--max-bad-percent", "0")
    assert asked(execution) == ["Café"]


@pytest.mark.parametrize("encoding", ["windows-1252", "latin-1", "shift_jis", "gb18030"])
def test_a_declared_encoding_is_read(execution: Execution, encoding: str) -> None:
    text = "café" if encoding in ("windows-1252", "latin-1") else "表ソ,|"  # Shift JIS has \ and | in these
    execution.put(f'id,text\n1,"{text}"\n'.encode(encoding))
    execution.normalise("--encoding", encoding)
    assert asked(execution) == [text]


def test_a_row_of_another_encoding_is_bad_and_the_others_are_not(execution: Execution) -> None:
    execution.put("id,text\n1,café\n".encode() + b"2,caf\xe9\n" + 'x3,"ca\nfé"\n'.encode())
    report = execution.normalise("--max-bad-percent", "50")
    assert execution.errors() == [None, "bytes that are not utf-8", None]
    assert execution.rows()[1]["values"] == ["2", "caf\ufffd"]
    assert (report["bad"], asked(execution)) == (1, ["café", "ca\nfé"])


def test_an_object_of_another_encoding_is_bad_and_the_others_are_not(execution: Execution) -> None:
    execution.put(b'{"id": 1, "text": "caf\xe9"}\n\xff\n' + '{"id": 2, "text": "café"}\n'.encode(), "jsonl")
    execution.normalise("--max-bad-percent", "70")
    assert execution.errors() == ["bytes that are not utf-8"] * 2 + [None]
    assert execution.rows()[0]["values"] == [1, "caf\ufffd"]


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        (b"", [], "expected text in utf-8: the file is empty"),
        ("id,text\n".encode("utf-16"), [], "it is UTF-16"),
        ("id,text\n".encode("utf-16-le"), [], "it is UTF-16"),
        ("id,text\n".encode("utf-16-be"), [], "it is UTF-16"),
        (gzip.compress(b"id,text\n"), [], "it is gzip: let its name end in .gz"),
        (b"PK\x03\x04\x14\0", [], "it is an Excel or ZIP file"),
        (b"\xef\xbb\xbfid,text\n", ["--encoding", "windows-1252"], "declare input.encoding: utf-8"),
        (b"text\n", ["--encoding", "utf-9"], "expected an encoding that Python knows"),
        (b"text\n", ["--encoding", "utf-16"], "expected an encoding that Python knows and that holds ASCII"),
        (b"text\n", ["--encoding", "base64"], "expected an encoding that Python knows"),
        (b"caf\xe9,text\n", [], "the header has bytes that are not utf-8: declare input.encoding"),
        (b"id,text\r1,Kind.\r", [], "the lines end in CR alone"),
        (b"\n\r\n\n", [], "expected a header with the names of the columns, found blank lines"),
        (b'id,"text\n1,Kind.\n', [], "the header is a quoted field that never ends"),
    ],
)
def test_a_file_that_is_no_such_text_is_refused(
    execution: Execution, content: bytes, options: list[str], message: str
) -> None:
    execution.put(content)
    with pytest.raises(StepError) as refused:
        execution.normalise(*options)
    assert message in str(refused.value)
    assert "input" in str(refused.value)  # the file's key, or the setting


# gzip


def test_gzip_of_several_members_is_read_to_the_end(execution: Execution) -> None:
    execution.put(
        gzip.compress(b"id,text\n1,Ki") + gzip.compress(b"nd.\n2,Dear.\n") + b"\0" * 512, packed=True
    )
    execution.normalise()
    assert asked(execution) == ["Kind.", "Dear."]


@pytest.mark.parametrize(
    "content",
    [
        b"id,text\n1,Kind.\n",
        gzip.compress(b"text\n" + b"Kind.\n" * 999)[:-9],
        gzip.compress(b"text\n")[:5],
        gzip.compress(b"text\n") + b"rest",
    ],
)
def test_gzip_that_is_not_whole_is_refused(execution: Execution, content: bytes) -> None:
    execution.put(content, packed=True)
    with pytest.raises(StepError, match=r"^input/june.csv: expected a whole gzip file: "):
        execution.normalise()


def test_gzip_of_nothing_is_an_empty_file(execution: Execution) -> None:
    execution.put("", packed=True)
    with pytest.raises(StepError, match="the file is empty"):
        execution.normalise()


# Rows of a CSV


def test_a_row_with_too_few_or_too_many_fields_is_bad_and_nothing_of_it_is_carried(
    execution: Execution,
) -> None:
    execution.put("id,text\n1,Kind.\n2,Kind, and quick.\n3\n4,Dear.\n")
    report = execution.normalise("--max-bad-percent", "50")
    assert execution.errors() == [
        None,
        "expected 2 fields, found 3",
        "expected 2 fields, found 1",
        None,
    ]
    assert [row["values"] for row in execution.rows()] == [["1", "Kind."], [], [], ["4", "Dear."]]
    assert [request["id"] for request in execution.requests()] == [1, 4]
    assert (report["rows"], report["asked"], report["bad"]) == (4, 2, 2)


def test_a_quote_that_is_never_closed_makes_one_bad_row_of_the_rest(execution: Execution) -> None:
    execution.put('id,text\n1,Kind.\n2,"open\n3,Dear.\n4,Slow.\n')
    execution.normalise("--max-bad-percent", "50")
    assert execution.errors() == [
        None,
        "a quoted field that never ends, over 3 lines (is a quote left open?)",
    ]
    assert asked(execution) == ["Kind."]


def test_a_row_that_swallowed_others_says_over_how_many_lines(execution: Execution) -> None:
    execution.put('id,text\n1,"open\n2,Kind.\n3,"Dear, too."\n4,Slow.\n')
    execution.normalise("--max-bad-percent", "50")
    assert execution.errors() == ["expected 2 fields, found 3, over 3 lines (is a quote left open?)", None]


def test_another_delimiter_is_read(execution: Execution) -> None:
    execution.put('id;text\n1;"a; b, c"\n')
    execution.normalise("--delimiter", ";")
    assert asked(execution) == ["a; b, c"]


def test_a_header_without_rows_has_no_rows_but_a_first_part(execution: Execution) -> None:
    execution.put("id,text\n")
    report = execution.normalise()
    assert (report["rows"], report["parts"], report["columns"]) == (
        0,
        [{"rows": 0, "asked": 0}],
        ["id", "text"],
    )
    assert [path.name for path in (execution.folder / "rows").iterdir()] == ["part-00000.jsonl"]
    assert list((execution.folder / "requests").iterdir()) == []


@pytest.mark.parametrize(
    ("header", "options", "message"),
    [
        (
            "id,body",
            [],
            'input/june.csv: expected the column "text" (input.text_columns), the header has "id", "body"',
        ),
        (
            "id;text",
            [],
            'the header has "id;text": is the delimiter a semicolon? Declare it in input.delimiter',
        ),
        (
            "id,text",
            ["--carry", "date"],
            'expected the column "date" (input.carry_columns), the header has "id"',
        ),
        ("text,id,text", ["--carry", "id"], 'expected the column "text" once, the header has it 2 times'),
        ("text,id,id", [], 'expected the column "id" once, the header has it 2 times'),
        ("text,,", [], 'expected the column "" once, the header has it 2 times'),
        ("text,score", [], 'the column "score" is also the name of a column that is added'),
        ("text,label_2", ["--top-labels", "2"], 'the column "label_2" is also the name of a column'),
    ],
)
def test_a_header_that_does_not_fit_is_refused(
    execution: Execution, header: str, options: list[str], message: str
) -> None:
    execution.put(f"{header}\nKind.\n")
    with pytest.raises(StepError) as refused:
        execution.normalise(*options)
    assert message in str(refused.value)


def test_a_column_that_is_not_carried_may_be_there_twice_or_have_the_name_of_an_added_one(
    execution: Execution,
) -> None:
    execution.put("id,text,score,x,x\n1,Kind.,5,,\n")
    assert execution.normalise("--carry", "id")["asked"] == 1


def test_an_added_column_may_have_another_name(execution: Execution) -> None:
    execution.put("text,label,score\nKind.,old,5\n")
    options = ["--label-column", "category", "--score-column", "confidence"]
    assert execution.normalise(*options)["columns"] == ["text", "label", "score"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ["--carry", "id", "--carry", "id"],
            'input.carry_columns: expected different columns, got "id" twice',
        ),
        (["--carry", "error"], 'input.carry_columns: "error" is also a column that is added'),
        (["--label-column", "score"], 'output.columns: expected different columns, got "score" twice'),
        (["--text-column", "text"], 'input.text_columns: expected different columns, got "text" twice'),
        (["--delimiter", ", "], "input.delimiter: expected one character, got ', '"),
        (["--delimiter", '"'], "input.delimiter: expected one character, got '\"'"),
        (["--max-bad-percent", "101"], "input.max_bad_percent: expected a number from 0 to 100, got 101"),
        (["--max-bad-percent", "nan"], "input.max_bad_percent: expected a number from 0 to 100, got nan"),
        (["--max-payload-mb", "0"], "transform.max_payload_mb: expected a number from 1 to 100, got 0"),
        (["--instances", "0"], "transform.instance_count: expected a number from 1 to 1000, got 0"),
        (["--top-labels", "0"], "output.top_labels: expected a number from 1 to 1000, got 0"),
    ],
)
def test_a_setting_that_cannot_be_meant_is_refused(
    execution: Execution, options: list[str], message: str
) -> None:
    execution.put("id,text\n1,Kind.\n")
    with pytest.raises(StepError) as refused:
        execution.normalise(*options)
    assert str(refused.value).startswith(message)


# Rows of JSON Lines


def test_objects_are_kept_with_the_types_of_their_values(execution: Execution) -> None:
    values = {"text": "Kind.", "n": 1, "x": 1.5, "yes": True, "none": None, "all": [{"a": [1, "é"]}, []]}
    execution.put(lines(values), "jsonl")
    report = execution.normalise()
    assert report["columns"] == list(values)
    assert execution.rows()[0]["values"] == list(values.values())
    assert execution.rows()[0]["values"][3] is True
    assert asked(execution) == ["Kind."]


def test_blank_lines_are_no_rows(execution: Execution) -> None:
    execution.put('\n{"text": "a"}\r\n  \t\r\n\n{"text": "b"}', "jsonl")
    assert execution.normalise()["rows"] == 2
    assert [request["id"] for request in execution.requests()] == [1, 2]


def test_no_line_with_content_is_no_rows(execution: Execution) -> None:
    execution.put("\n \r\n", "jsonl")
    report = execution.normalise("--carry", "id")
    assert (report["rows"], report["columns"]) == (0, ["id"])


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ('{"text": "a"', "not JSON: expecting ',' delimiter"),
        ("text", "not JSON: expecting value"),
        ('{"text": "a"} {"text": "b"}', "not JSON: extra data"),
        ('{"text": "a", "x": NaN}', "not JSON: NaN is not a JSON number"),
        ('{"text": "a\tb"}', "not JSON: invalid control character at"),
        ('{"text": "a", "x": ' + "9" * 5000 + "}", "not JSON: exceeds the limit"),
        ('{"text": "a", "x": ' + "[" * 100_000 + "]" * 100_000 + "}", "not JSON: nested more than 100 deep"),
        ('{"text": "a", "x": ' + "[" * DEEPEST + "]" * DEEPEST + "}", "not JSON: nested more than 100 deep"),
        ('["a"]', "expected an object, found a list"),
        ('"a"', "expected an object, found text"),
        ("null", "expected an object, found null"),
        ("{}", 'the key "text" is missing'),
        ('{"Text": "a"}', 'the key "text" is missing'),
        ('{"text": 5}', '"text": expected text, found a number'),
        ('{"text": false}', '"text": expected text, found true or false'),
        ('{"text": ["a"]}', '"text": expected text, found a list'),
        ('{"text": {"a": 1}}', '"text": expected text, found an object'),
        ('{"text": null}', "no text"),
        ('{"text": "\\u00a0"}', "no text"),
        ('{"text": "a", "x": 1e400}', "a number that is too large"),
        ('{"text": "a", "error": 1}', 'the key "error" is also the name of a column that is added'),
    ],
)
def test_a_line_that_cannot_be_asked_has_an_error(execution: Execution, line: str, error: str) -> None:
    execution.put('{"text": "before"}\n' + line + '\n{"text": "behind"}\n', "jsonl")
    report = execution.normalise("--max-bad-percent", "50")
    (found,) = report["errors"]
    assert found.lower().startswith(error.lower())
    assert execution.errors() == [None, found, None]
    assert asked(execution) == ["before", "behind"]
    assert report["bad"] + report["empty"] == 1


def test_a_value_nested_as_deep_as_allowed_is_carried(execution: Execution) -> None:
    value: list[Any] = []
    for _ in range(DEEPEST - 2):
        value = [value]
    execution.put(lines({"text": "a", "x": value}), "jsonl")
    execution.normalise()
    assert execution.rows()[0]["values"] == ["a", value]


def test_a_value_may_be_as_wide_as_it_likes(execution: Execution) -> None:
    value = [[number, {}] for number in range(DEEPEST)]
    execution.put(lines({"text": "a", "x": value}), "jsonl")
    execution.normalise()
    assert execution.rows()[0]["values"] == ["a", value]


def test_of_equal_keys_the_last_counts_as_for_the_endpoint(execution: Execution) -> None:
    execution.put('{"text": "first", "id": 1, "text": "last"}\n', "jsonl")
    execution.normalise()
    assert asked(execution) == ["last"]
    assert execution.rows()[0]["values"] == ["last", 1]


def test_half_of_a_surrogate_pair_is_sent_as_the_client_would_send_it(execution: Execution) -> None:
    execution.put('{"text": "ok \\ud83d"}\n{"text": "\\ud83d\\ude00 \\u2028"}\n', "jsonl")
    execution.normalise("--max-bad-percent", "0")
    assert asked(execution) == ["ok \ud83d", "\U0001f600 \u2028"]
    requests = (execution.folder / "requests/part-00000.jsonl").read_text(encoding="utf-8")
    assert len(requests.splitlines()) == 2  # which ends a line at U+2028


def test_objects_with_other_keys_than_the_first_keep_their_own(execution: Execution) -> None:
    execution.put(lines({"id": 1, "text": "a"}, {"text": "b", "id": 2}, {"text": "c", "extra": [3]}), "jsonl")
    report = execution.normalise()
    assert (report["columns"], report["other_columns"]) == (["id", "text"], ["extra"])
    kept = [(row.get("columns"), row["values"]) for row in execution.rows()]
    assert kept == [(None, [1, "a"]), (["text", "id"], ["b", 2]), (["text", "extra"], ["c", [3]])]


def test_of_declared_columns_a_missing_one_is_null(execution: Execution) -> None:
    execution.put(lines({"text": "a"}, {"text": "b", "id": 2}), "jsonl")
    assert execution.normalise("--carry", "id")["other_columns"] == []
    assert [row["values"] for row in execution.rows()] == [[None], [2]]


def test_null_in_one_of_several_text_columns_is_sent_as_it_is(execution: Execution) -> None:
    execution.put(lines({"subject": None, "body": "b"}, {"subject": None, "body": ""}), "jsonl")
    execution.normalise(text=["subject", "body"])
    assert asked(execution) == [{"subject": None, "body": "b"}]
    assert execution.errors() == [None, "no text"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], 'expected the key "text" (input.text_columns), the first object has "body", "id"'),
        (["--carry", "data"], 'expected the key "text" (input.text_columns)'),
    ],
)
def test_a_key_that_no_object_has_is_refused(execution: Execution, options: list[str], message: str) -> None:
    execution.put(lines(*[{"body": "a", "id": 1}] * 3), "jsonl")
    with pytest.raises(StepError) as refused:
        execution.normalise(*options, "--max-bad-percent", "100")
    assert message in str(refused.value)


def test_a_carried_key_that_no_object_has_is_refused(execution: Execution) -> None:
    execution.put(lines(*[{"text": "a", "id": 1}] * 3), "jsonl")
    with pytest.raises(StepError, match=r'expected the key "ID" \(input.carry_columns\)'):
        execution.normalise("--carry", "ID")


def test_a_first_object_with_an_added_column_is_refused(execution: Execution) -> None:
    execution.put(lines({"text": "a", "label": "x"}, {"text": "b"}), "jsonl")
    with pytest.raises(StepError, match='the column "label" is also the name of a column that is added'):
        execution.normalise("--max-bad-percent", "100")


# Large rows


def test_a_text_that_no_request_can_hold_is_bad(execution: Execution) -> None:
    long = "ä" * (5 << 19)  # 5 MiB
    execution.put(f"id,text\n1,Kind.\n2,{long}\n3,Dear.\n")
    execution.normalise("--max-bad-percent", "50")
    assert execution.errors() == [None, "the text is larger than 1 MiB", None]
    assert execution.rows()[1]["values"] == ["2", long]
    execution.normalise("--max-payload-mb", "6")
    assert asked(execution)[1] == long


def test_a_request_of_just_the_limit_is_sent(execution: Execution) -> None:
    rest = len('{"id":1,"inputs":"","parameters":{"top_k":1}}\n')
    execution.put("text\n" + "a" * ((1 << 20) - rest) + "\n" + "a" * ((1 << 20) - rest + 1) + "\n")
    execution.normalise("--max-bad-percent", "50")
    assert execution.errors() == [None, "the text is larger than 1 MiB"]
    assert (execution.folder / "requests/part-00000.jsonl").stat().st_size == 1 << 20


@pytest.mark.parametrize("format", ["csv", "jsonl"])
def test_a_row_longer_than_what_is_kept_is_bad_and_the_next_is_read(
    execution: Execution, format: str
) -> None:
    long = "a" * (17 << 20)
    content = f"text\n{long}\nKind.\n" if format == "csv" else f'{{"text": "{long}"}}\n{{"text": "Kind."}}\n'
    execution.put(content, format)
    execution.normalise("--max-bad-percent", "50")
    assert execution.errors() == ["longer than 16 MiB", None]
    assert asked(execution) == ["Kind."]


# Parts


@pytest.mark.parametrize(
    ("source", "packed", "instances", "size"),
    [
        (1000, False, 1, 1000),
        (300_000, False, 2, 300_000),
        (600_000, False, 2, 300_000),
        (900_000, False, 2, 450_000),  # not three parts for two instances
        (4 << 20, False, 1, 2 << 20),
        (4 << 20, False, 2, 1 << 20),
        (4 << 20, True, 2, 5 << 20),
        (10 << 30, False, 4, 32 << 20),
        (161 << 20, False, 2, (161 << 20) // 6 + 1),  # not 5.03 parts
        (1, False, 1, 1),
    ],
)
def test_parts_are_two_for_each_instance_or_otherwise_as_many_for_each(
    source: int, packed: bool, instances: int, size: int
) -> None:
    assert target_size(source, packed, instances) == size


def test_parts_are_contiguous_and_alike(execution: Execution) -> None:
    execution.put("id,text\n" + "".join(f"{number:0300},Kind.\n" for number in range(5000)))
    report = execution.normalise("--instances", "2")
    sizes = [part["rows"] for part in report["parts"]]
    assert len(sizes) == 4 and min(sizes) > 0.95 * max(sizes)
    assert [row["id"] for row in execution.rows()] == list(range(1, 5001))
    assert [request["id"] for request in execution.requests()] == list(range(1, 5001))
    for number, part in enumerate(report["parts"]):
        for folder in ("rows", "requests"):
            path = execution.folder / folder / f"part-{number:05}.jsonl"
            assert len(path.read_bytes().splitlines()) == part["rows"] == part["asked"]


def test_a_part_that_is_one_request_is_within_the_payload(execution: Execution) -> None:
    execution.put("text\n" + ("a" * 300_000 + "\n") * 10)
    report = execution.normalise("--split", "None", "--instances", "1")
    assert [part["asked"] for part in report["parts"]] == [3, 3, 3, 1]
    assert all(path.stat().st_size <= 1 << 20 for path in (execution.folder / "requests").iterdir())


def test_the_requests_of_a_part_have_a_limit_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "LARGEST_REQUESTS", 25)
    with parts.Parts(tmp_path / "requests", tmp_path / "rows", 1 << 20, None) as written:
        for number in range(5):
            written.add(b"row\n", b"0123456789" if number else b"", number)
    assert [(part.rows, part.asked) for part in written.parts] == [(3, 2), (2, 2)]


def test_a_part_may_have_rows_and_no_request(execution: Execution) -> None:
    execution.put("id,text\n" + f"{'1' * 99},\n" * 6000 + "2,Kind.\n")
    report = execution.normalise()
    assert [bool(part["asked"]) for part in report["parts"]] == [False, True]
    assert [path.name for path in (execution.folder / "requests").iterdir()] == ["part-00001.jsonl"]
    assert [path.name for path in sorted((execution.folder / "rows").iterdir())] == [
        "part-00000.jsonl",
        "part-00001.jsonl",
    ]


def test_the_same_file_gives_the_same_bytes_also_over_older_parts(execution: Execution) -> None:
    def outputs() -> dict[str, bytes]:
        paths = [
            path for name in ("requests", "rows", "report") for path in (execution.folder / name).iterdir()
        ]
        return {str(path): path.read_bytes() for path in paths}

    small = "id,text\n1,Kind.\n2,\n3,Dear.\n"
    execution.put(small)
    execution.normalise()
    first = outputs()
    execution.put("id,text\n" + f"{'1' * 99},Kind.\n" * 10_000)
    execution.normalise()
    assert len(outputs()) > len(first)
    execution.put(small)
    execution.normalise()
    assert outputs() == first


# Too much that is bad


def test_a_file_with_more_bad_rows_than_declared_fails_with_the_commonest_reasons(
    execution: Execution,
) -> None:
    execution.put(b"id,text\n" + b"1,Kind.\n" * 90 + b"2\n" * 5 + b"3,a,b\n" * 3 + b"4,\xe9\n\n5,a,b,c\n6,\n")
    with pytest.raises(StepError) as refused:
        execution.normalise()
    assert str(refused.value) == (
        "input/june.csv: 10 of 101 rows are bad, 9.9%, and at most 5% may be (input.max_bad_percent): "
        "expected 2 fields, found 1 (5 rows, the first is row 91); "
        "expected 2 fields, found 3 (3 rows, the first is row 96); bytes that are not utf-8 (row 99)"
    )
    assert not (execution.folder / "report/report.json").exists()
    assert execution.normalise("--max-bad-percent", "10")["bad"] == 10


def test_just_as_many_as_declared_are_accepted(execution: Execution) -> None:
    execution.put("id,text\n" + "1,Kind.\n" * 19 + "2\n")
    assert execution.normalise("--max-bad-percent", "5")["bad"] == 1


def test_a_file_of_bad_rows_alone_asks_nothing_when_that_is_declared_to_be_fine(execution: Execution) -> None:
    execution.put("id,text\n" + "1\n" * 3)
    report = execution.normalise("--max-bad-percent", "100")
    assert (report["rows"], report["asked"], report["bad"]) == (3, 0, 3)


def test_a_file_without_any_text_is_not_bad(execution: Execution) -> None:
    execution.put("id,text\n" + "1, \n" * 3)
    report = execution.normalise("--max-bad-percent", "0")
    assert (report["rows"], report["asked"], report["empty"]) == (3, 0, 3)


def test_errors_without_number_take_no_memory_without_end() -> None:
    tally = Tally()
    for row in range(3 * KINDS):
        tally.add(f"error {row}", row)
    report = tally.report()
    assert len(report) == REPORTED and sum(report.values()) == 3 * KINDS == tally.bad
    assert report[OTHER] == 3 * KINDS - REPORTED + 1


# As a process


def test_the_script_tells_its_options(execution: Execution) -> None:
    run = execution.process("normalise.py", "--help", folders=[])
    assert run.code == 0 and "--text-column" in run.out and "/opt/ml/processing/input/source" in run.out


def test_a_refused_file_ends_the_process_with_one_line(execution: Execution) -> None:
    execution.put("id,body\n1,Kind.\n")
    run = execution.process("normalise.py", "--text-column", "text", folders=FOLDERS)
    assert run.code == 1 and run.out == ""
    expected = 'expected the column "text" (input.text_columns), the header has "id", "body"'
    assert run.error == f"error: input/june.csv: {expected}\n"


def test_a_missing_file_is_named(execution: Execution) -> None:
    execution.put("text\n")
    (execution.folder / "source/data.csv").unlink()
    run = execution.process("normalise.py", "--text-column", "text", folders=FOLDERS)
    assert run.code == 1 and run.error.endswith("source/data.csv: No such file or directory\n")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"version": 2}, "expected version 1, got 2: start the execution again"),
        ({"key": None}, "key: expected text, got None"),
        ({"gzip": "no"}, "gzip: expected true or false, got 'no'"),
        ({"model_package_version": True}, "model_package_version: expected a whole number, got True"),
    ],
)
def test_a_request_that_is_not_known_is_refused(
    execution: Execution, changed: dict[str, Any], message: str
) -> None:
    execution.put("text\nKind.\n")
    path = execution.folder / "request/request.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changed}))
    with pytest.raises(StepError) as refused:
        execution.normalise()
    assert str(refused.value).endswith(f"request.json: {message}")


def test_the_process_tells_what_it_found(execution: Execution) -> None:
    execution.put("id,text\n1,Kind.\n2,\n3\n")
    options = ["--text-column", "text", "--max-bad-percent", "50"]
    run = execution.process("normalise.py", *options, folders=FOLDERS)
    assert run.code == 0 and run.error == ""
    first, *rest = run.out.splitlines()
    found = "input/june.csv: 3 rows, of which 1 are asked, 1 have no text, 1 are bad ("
    assert first.startswith(found)
    assert rest == ["  no text: 1", "  expected 2 fields, found 1: 1"]


def test_memory_does_not_grow_with_the_rows_nor_with_a_quote_that_is_never_closed(
    execution: Execution,
) -> None:
    def peak(content: str) -> float:
        execution.put(content)
        options = ["--text-column", "text", "--max-bad-percent", "100"]
        run = execution.process("normalise.py", *options, folders=FOLDERS)
        assert run.code == 0
        return run.peak

    row = '1,"The nurse was kind, and quick."\n'
    few = peak("id,text\n" + row * 100)
    assert peak("id,text\n" + row * 50_000) < few + 5
    line = "1,The nurse was kind and quick, and parking was as dear as ever.\n"
    assert peak('id,text\n1,"' + line * 1_200_000) < few + 60  # 80 MB, of which 16 MiB are kept at most
