"""The JSONPath subset of DataProcessing, as SageMaker's guide has it."""

import pytest

from mlops_workbench.sandbox.services.sagemaker.jobs.transform_filters import FilterError, parse

RECORD = {"id": 7, "a": {"b": [1, 2, 3], "c": {"d": "x"}}, "SageMakerOutput": [{"label": "y"}]}


@pytest.mark.parametrize(
    ("text", "selected"),
    [
        ("$", RECORD),
        ("$.id", 7),
        ("$.a.c.d", "x"),
        ("$['id','SageMakerOutput']", {"id": 7, "SageMakerOutput": [{"label": "y"}]}),
        ("$['id']", 7),
        ("$['id','none']", {"id": 7}),
        ("$.a.['b','c']", {"b": [1, 2, 3], "c": {"d": "x"}}),
        ("$.a.b[0]", 1),
        ("$.a.b[-1]", 3),
        ("$.a.b[0,2]", [1, 3]),
        ("$.a.b[1:]", [2, 3]),
        ("$.a.b[:1]", [1, 2]),
        ("$.a.c.*", ["x"]),
        ("$.a.b[*]", [1, 2, 3]),
        ("$.SageMakerOutput[*].label", ["y"]),
    ],
)
def test_a_filter_selects_of_an_object(text, selected):
    assert parse(text).select(RECORD) == selected


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("$", "abcdef"),
        ("$[0]", "a"),
        ("$[-1]", "f"),
        ("$[1:]", "bcdef"),
        ("$[0,-1]", "af"),
        ("$[0, 2]", "ac"),
        # The guide: "$[1:4] specifies the second through fifth columns", "[:5] … through the sixth column".
        ("$[1:4]", "bcde"),
        ("$[:5]", "abcdef"),
        ("$[-2:]", "ef"),
    ],
)
def test_a_filter_selects_columns_of_a_row(text, columns):
    chosen = parse(text)
    assert chosen.indexed
    assert chosen.row(list("abcdef")) == list(columns)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id", r"Invalid JsonPath: id: expected an expression that begins with \$"),
        ("$[0:2,246:]", r"only single range filters of format \(eg: \[1:5\]\) are supported"),
        ("$[0,5:]", "only single range filters"),
        ("$..id", "Invalid JsonPath"),
        ("$[?(@.id)]", "Invalid JsonPath"),
        ("$[::2]", "only single range filters"),
        ('$["id"]', "Invalid JsonPath"),
        ("$.", "Invalid JsonPath"),
        ("$x", "Invalid JsonPath"),
        ("$['a','b'].c", "nothing may follow several names"),
        ("$." + "x" * 62, "expected at most 63 characters, got 64"),
    ],
)
def test_what_the_service_does_not_take_is_refused(text, message):
    with pytest.raises(FilterError, match=message):
        parse(text)


@pytest.mark.parametrize(
    ("text", "record", "message"),
    [
        ("$.b", {"a": 1}, r"\$\.b: the record has no 'b'"),
        ("$.a.b", {"a": 1}, "expected an object with b, got 1"),
        ("$.a", [1], "expected an object with a, got an array"),
        ("$[3]", [1, 2, 3], "has no element 3; it has 3"),
        ("$[-4]", [1, 2, 3], "has no element -4"),
        ("$[2:5]", [1, 2, 3], "has no element 5"),
        ("$[3:]", [1, 2, 3], "has no element 3"),
        ("$[0]", {"0": 1}, "expected an array, got an object"),
    ],
)
def test_what_is_not_in_a_record_is_named(text, record, message):
    with pytest.raises(FilterError, match=message):
        parse(text).select(record)


def test_names_do_not_suit_rows():
    assert not parse("$.id").indexed
    assert not parse("$['id']").indexed
