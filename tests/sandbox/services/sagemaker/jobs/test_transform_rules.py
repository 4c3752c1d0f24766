"""What CreateTransformJob refuses, and the JSONPath subset of DataProcessing."""

import pytest
from botocore.exceptions import ClientError

from mlops_workbench.sandbox.errors import JobFailed
from mlops_workbench.sandbox.services.sagemaker.jobs.transform import run_transform
from mlops_workbench.sandbox.services.sagemaker.jobs.transform_filters import FilterError, parse
from mlops_workbench.sandbox.services.sagemaker.jobs.transform_rules import problems
from tests.sandbox.services.sagemaker.jobs.support import transform_request


class Place:
    """A bucket that need not exist."""

    def uri(self, key):
        return f"s3://bucket/{key}"


def found(**changes):
    return problems(transform_request(Place(), **changes))


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"MaxConcurrentTransforms": 100, "MaxPayloadInMB": 1},
        {"MaxConcurrentTransforms": 16},
        {"MaxPayloadInMB": 100},
        {"MaxPayloadInMB": 0, "MaxConcurrentTransforms": 8},
        {"MaxConcurrentTransforms": 0},
        # A strategy without a split means nothing; AWS's own examples of images have it.
        {"BatchStrategy": "SingleRecord", "given": {"SplitType": "None"}},
        {"DataProcessing": {"JoinSource": "Input", "OutputFilter": "$['id','SageMakerOutput']"}},
        {
            "DataProcessing": {"JoinSource": "Input"},
            "given": {"ContentType": "application/json", "SplitType": "None"},
            "taken": {"Accept": "application/json", "AssembleWith": "None"},
        },
        {
            "DataProcessing": {"JoinSource": "Input", "InputFilter": "$[1:]"},
            "given": {"ContentType": "text/csv"},
            "taken": {"Accept": "text/csv"},
        },
    ],
)
def test_what_the_service_takes_is_taken(changes):
    assert found(**changes) == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"MaxConcurrentTransforms": 11, "MaxPayloadInMB": 10},
            "MaxConcurrentTransforms * MaxPayloadInMB: expected at most 100, got 11 * 10 = 110",
        ),
        (
            {"MaxConcurrentTransforms": 17},
            "MaxConcurrentTransforms * MaxPayloadInMB: expected at most 100, got 17 * 6 = 102",
        ),
        ({"MaxPayloadInMB": 101}, "MaxPayloadInMB: expected at most 100, got 101"),
        ({"instances": 101}, "TransformResources.InstanceCount: expected at most 100, got 101"),
        (
            {"given": {"SplitType": "RecordIO"}},
            "TransformInput.SplitType: expected None or Line in the sandbox, got RecordIO",
        ),
        (
            {"given": {"SplitType": "TFRecord"}},
            "TransformInput.SplitType: expected None or Line in the sandbox, got TFRecord",
        ),
        (
            {"DataProcessing": {"JoinSource": "Input"}, "taken": {"AssembleWith": "None"}},
            "DataProcessing of application/jsonlines expects TransformInput.SplitType Line and "
            "TransformOutput.AssembleWith Line, got Line and None",
        ),
        (
            {"DataProcessing": {"JoinSource": "Input"}, "given": {"SplitType": "None"}},
            "DataProcessing of application/jsonlines expects TransformInput.SplitType Line and "
            "TransformOutput.AssembleWith Line, got None and Line",
        ),
        (
            {"DataProcessing": {"InputFilter": "$.a"}, "given": {"ContentType": "text/plain"}},
            "TransformInput.ContentType: DataProcessing expects one of text/csv, application/json, "
            "application/jsonlines, got text/plain",
        ),
        (
            {"DataProcessing": {"JoinSource": "Input"}, "taken": {"Accept": ""}},
            "TransformOutput.Accept: DataProcessing expects one of text/csv, application/json, "
            "application/jsonlines, got nothing",
        ),
        (
            {"DataProcessing": {"JoinSource": "Input"}, "given": {"ContentType": "text/csv"}},
            "TransformOutput.Accept: DataProcessing of text/csv expects the like, got application/jsonlines",
        ),
        (
            {"DataProcessing": {"OutputFilter": "$..x"}},
            "DataProcessing.OutputFilter: Invalid JsonPath: $..x: "
            "expected $, .name, *, ['name','other'], [1,3], [-1] and [start:end], got ..x",
        ),
        (
            {"DataProcessing": {"InputFilter": "$." + "x" * 62}},
            "DataProcessing.InputFilter: expected at most 63 characters, got 64",
        ),
        (
            {
                "DataProcessing": {"InputFilter": "$.x"},
                "given": {"ContentType": "text/csv"},
                "taken": {"Accept": "text/csv"},
            },
            "DataProcessing.InputFilter: Invalid JsonPath: $.x: "
            "CSV takes positions only, such as $[0] or $[1:]",
        ),
    ],
)
def test_what_the_service_refuses_is_named(changes, message):
    assert found(**changes) == [message]


def test_the_call_and_the_job_refuse_alike(bucket, jobs, sandbox):
    given = transform_request(bucket, MaxConcurrentTransforms=50, MaxPayloadInMB=50)
    with pytest.raises(ClientError, match=r"expected at most 100, got 50 \* 50 = 2500"):
        sandbox.client("sagemaker").create_transform_job(TransformJobName="a", **given)
    assert sandbox.client("sagemaker").list_transform_jobs()["TransformJobSummaries"] == []
    with pytest.raises(JobFailed, match=r"expected at most 100, got 50 \* 50 = 2500"):
        run_transform(given, jobs.context("b"))
    long = transform_request(bucket, DataProcessing={"OutputFilter": "$" * 64})
    with pytest.raises(ClientError, match=r"DataProcessing\.OutputFilter: expected at most 63 characters"):
        sandbox.client("sagemaker").create_transform_job(TransformJobName="c", **long)


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
