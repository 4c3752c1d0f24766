"""What names mean: which file is answered, and where its answers go."""

import pytest

import places
from places import Kind


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.csv", Kind("csv", False)),
        ("b/A.CSV.GZ", Kind("csv", True)),
        ("a.jsonl", Kind("jsonl", False)),
        ("a.ndjson.gz", Kind("jsonl", True)),
        ("a.csv.zip", None),
        ("csv", None),
        ("a.gz", None),
        ("a.csv/", None),
    ],
)
def test_a_name_s_end_says_what_a_file_is(name: str, kind: Kind | None) -> None:
    assert places.kind(name, ["csv", "jsonl"]) == kind
    assert places.kind(name, ["csv"]) == (kind if kind and kind.format == "csv" else None)


@pytest.mark.parametrize(
    ("key", "answer", "expected"),
    [
        ("input/a.csv", Kind("csv", False), "output/a.csv"),
        ("input/input/a.csv", Kind("csv", False), "output/input/a.csv"),
        ("input/a.CSV", Kind("csv", False), "output/a.CSV.csv"),
        ("input/a.csv", Kind("csv", True), "output/a.csv.csv.gz"),
        ("input/a.csv.gz", Kind("csv", True), "output/a.csv.gz"),
        ("input/x/a.jsonl", Kind("csv", False), "output/x/a.jsonl.csv"),
        ("input/a.ndjson", Kind("jsonl", False), "output/a.ndjson.jsonl"),
    ],
)
def test_answers_go_where_the_file_s_path_says(key: str, answer: Kind, expected: str) -> None:
    assert places.result_key(key, "input/", "output/", answer) == expected


@pytest.mark.parametrize("execution_id", ["", "../x", "a/b", "a b"])
def test_only_an_execution_s_id_makes_a_folder(execution_id: str) -> None:
    with pytest.raises(ValueError, match="expected letters, digits and hyphens"):
        places.work(execution_id)
    assert places.request_key("abc123") == "work/abc123/request/request.json"
