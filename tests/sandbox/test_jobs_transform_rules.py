"""What CreateTransformJob refuses, before anything runs."""

import pytest
from botocore.exceptions import ClientError

from mlops_workbench.sandbox.errors import JobFailed
from mlops_workbench.sandbox.services.sagemaker.jobs.transform_rules import problems
from mlops_workbench.sandbox.services.sagemaker.jobs.transform import run_transform
from tests.sandbox.transform_support import transform_request


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
