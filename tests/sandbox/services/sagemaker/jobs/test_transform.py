"""Batch transform: jobs with a real handler, and large objects that are read in parts."""

import gzip
import json
import os
import subprocess
import threading
import tracemalloc

import pytest
from botocore.exceptions import ClientError

from mlops_workbench.sandbox import Sandbox
from mlops_workbench.sandbox.errors import JobFailed, JobStopped
from mlops_workbench.sandbox.images import Images
from mlops_workbench.sandbox.services.sagemaker.jobs.transform import run_transform
from tests.waiting import wait_for

INFERENCE = """
import json, os

def model_fn(model_dir):
    print("loading from", model_dir)
    return open(os.path.join(model_dir, "weights")).read()

def input_fn(data, content_type):
    if content_type != "application/jsonlines":
        raise ValueError(f"unexpected {content_type}")
    return [json.loads(line)["inputs"] for line in data.decode().splitlines()]

def predict_fn(data, model):
    if "crash" in data:
        os._exit(1)
    return [f"{model} {text}" for text in data]

def output_fn(prediction, accept):
    return "\\n".join(json.dumps({"label": text, "size": len(prediction)}) for text in prediction)
"""


@pytest.fixture
def images(container_python):
    if not list(container_python.parent.parent.glob("lib/python*/*/sagemaker_huggingface_inference_toolkit")):
        pytest.skip(f"{container_python}: sagemaker-huggingface-inference-toolkit is not installed there")
    return Images.single(container_python)


@pytest.fixture
def model(bucket, make_archive, sandbox):
    """A model from a package whose answers begin with "W"; its name."""
    files = {"weights": "W", "code/inference.py": INFERENCE}
    client = sandbox.client("sagemaker")
    client.create_model_package_group(ModelPackageGroupName="group")
    container = {
        "Image": "huggingface-pytorch-inference:latest",
        "ModelDataUrl": bucket.put("model.tar.gz", make_archive(files)),
        "Environment": {
            "SAGEMAKER_PROGRAM": "inference.py", "SAGEMAKER_SUBMIT_DIRECTORY": "/opt/ml/model/code"
        },
    }  # fmt: skip
    types = ["application/jsonlines"]
    specification = {
        "Containers": [container], "SupportedContentTypes": types, "SupportedResponseMIMETypes": types
    }  # fmt: skip
    package = client.create_model_package(
        ModelPackageGroupName="group", ModelApprovalStatus="Approved", InferenceSpecification=specification
    )
    client.create_model(
        ModelName="model",
        PrimaryContainer={"ModelPackageName": package["ModelPackageArn"]},
        ExecutionRoleArn="arn:aws:iam::111111111111:role/sandbox",
    )
    return "model"


def request(bucket, model, **changes):
    source = {"S3DataType": "S3Prefix", "S3Uri": bucket.uri("in/")}
    given = {
        "DataSource": {"S3DataSource": source},
        "ContentType": "application/jsonlines",
        "SplitType": "Line",
    }
    return {
        "ModelName": model,
        "TransformInput": {**given, **changes.pop("given", {})},
        "TransformOutput": {
            "S3OutputPath": bucket.uri("out"), "Accept": "application/jsonlines", "AssembleWith": "Line"
        },
        "TransformResources": {"InstanceType": "ml.m5.large", "InstanceCount": 1},
        **changes,
    }  # fmt: skip


def lines(*texts):
    return "".join(json.dumps({"inputs": text}) + "\n" for text in texts)


def labels(data):
    return [json.loads(line) for line in data.splitlines()]


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["MultiRecord", "SingleRecord"])
@pytest.mark.usefixtures("each_way_of_paths")
def test_every_record_is_answered_in_order_beside_its_file(bucket, model, jobs, sandbox, strategy):
    names = [f"text {number}" for number in range(20)]
    bucket.put("in/2026/a.jsonl", lines(*names))
    bucket.put("in/b.jsonl", lines("alone").rstrip("\n"))
    given = request(bucket, model, BatchStrategy=strategy, MaxConcurrentTransforms=4)
    run_transform(given, jobs.context("batch"))
    assert bucket.keys("out") == ["out/2026/a.jsonl.out", "out/b.jsonl.out"]
    answers = labels(bucket.get("out/2026/a.jsonl.out"))
    assert [answer["label"] for answer in answers] == [f"W {name}" for name in names]
    assert {answer["size"] for answer in answers} == ({20} if strategy == "MultiRecord" else {1})
    described = sandbox.client("sagemaker").describe_transform_job(TransformJobName="batch")
    assert described["TransformJobStatus"] == "Completed"
    assert described["TransformInput"] == given["TransformInput"]


@pytest.mark.slow
def test_compressed_files_are_read(bucket, model, jobs):
    bucket.put("in/a.jsonl.gz", gzip.compress(lines("x").encode()))
    run_transform(request(bucket, model, given={"CompressionType": "Gzip"}), jobs.context())
    assert labels(bucket.get("out/a.jsonl.gz.out")) == [{"label": "W x", "size": 1}]


@pytest.mark.slow
def test_a_refused_request_fails_the_job_with_the_handlers_message(bucket, model, jobs, sandbox):
    bucket.put("in/a.jsonl", lines("x"))
    with pytest.raises(JobFailed, match=r"in/a\.jsonl: .*400: .*unexpected text/plain"):
        run_transform(request(bucket, model, given={"ContentType": "text/plain"}), jobs.context("bad"))
    described = sandbox.client("sagemaker").describe_transform_job(TransformJobName="bad")
    assert described["TransformJobStatus"] == "Failed"
    assert "unexpected text/plain" in described["FailureReason"]
    assert bucket.keys("out") == []


@pytest.mark.slow
def test_a_server_that_dies_fails_the_job(bucket, model, jobs):
    bucket.put("in/a.jsonl", lines("crash"))
    with pytest.raises(JobFailed, match=r"in/a\.jsonl: bad HTTP response"):
        run_transform(request(bucket, model, ModelClientConfig={"InvocationsMaxRetries": 1}), jobs.context())


@pytest.mark.slow
def test_a_script_that_cannot_be_loaded_fails_the_job_with_its_last_lines(bucket, model, jobs, make_archive):
    bucket.put("in/a.jsonl", lines("x"))
    bucket.put("model.tar.gz", make_archive({"weights": "W", "code/inference.py": "import none_such"}))
    with pytest.raises(JobFailed, match="the model server ended with exit code 1") as error:
        run_transform(request(bucket, model), jobs.context())
    assert "No module named 'none_such'" in error.value.last_lines[-1]


@pytest.mark.slow
def test_a_stop_ends_the_server(bucket, model, jobs):
    bucket.put("in/a.jsonl", lines("x"))
    context = jobs.context(log=lambda job, line: "loading from" in line and context.stop.set())
    with pytest.raises(JobStopped):
        run_transform(request(bucket, model), context)
    assert str(context.folder) not in subprocess.run(["ps", "axww"], capture_output=True, text=True).stdout


@pytest.mark.slow
@pytest.mark.usefixtures("each_way_of_paths")
def test_two_instances_answer_their_objects_beside_the_ids(bucket, model, jobs):
    for part in range(4):
        records = [{"id": 10 * part + n, "inputs": f"text {n}"} for n in range(3)]
        bucket.put(f"in/part-{part}.jsonl", "".join(json.dumps(record) + "\n" for record in records))
    processing = {"JoinSource": "Input", "OutputFilter": "$['id','SageMakerOutput']"}
    given = request(bucket, model, DataProcessing=processing, MaxConcurrentTransforms=2)
    given["TransformResources"] = {"InstanceType": "ml.m5.large", "InstanceCount": 2}
    run_transform(given, jobs.context())
    for part in range(4):
        assert labels(bucket.get(f"out/part-{part}.jsonl.out")) == [
            {"id": 10 * part + n, "SageMakerOutput": {"label": f"W text {n}", "size": 3}} for n in range(3)
        ]
    loaded = [line for line in jobs.lines if "loading from" in line]
    assert {line.split()[0] for line in loaded} == {"[algo-1]", "[algo-2]"}


@pytest.mark.slow
def test_a_large_payload_is_taken_and_a_large_answer_is_not(bucket, model, jobs, make_archive):
    """As multi-model-server does: requests up to MaxPayloadInMB, and answers up to 6,553,500 bytes."""
    code = (
        "import os\ndef model_fn(d): return None\n"
        "def transform_fn(model, data, kind, accept):\n"
        "    told = [os.environ.get('SAGEMAKER_' + name) for name in ('BATCH', 'MAX_PAYLOAD_IN_MB', "
        "'BATCH_STRATEGY', 'MAX_CONCURRENT_TRANSFORMS')]\n"
        "    return repr(told) if data.startswith(b'short') else 'x' * 6_600_000\n"
    )
    bucket.put("model.tar.gz", make_archive({"code/inference.py": code}))
    given = request(bucket, model, MaxPayloadInMB=20, given={"SplitType": "None"})
    bucket.put("in/a", "short" + "x" * 9_000_000)
    run_transform(given, jobs.context("a"))
    assert bucket.get("out/a.out") == b"['true', '20', None, None]\n"
    bucket.put("in/b", "long")
    given["ModelClientConfig"] = {"InvocationsMaxRetries": 0}
    with pytest.raises(JobFailed, match=r"(?s)in/b: .*500: .*Worker died"):
        run_transform(given, jobs.context("b"))
    assert any("Message size exceed limit" in line for line in jobs.lines)


def test_no_input_and_no_model_are_named(bucket, model, jobs):
    with pytest.raises(JobFailed, match="no objects under s3://test-bucket/in/"):
        run_transform(request(bucket, model), jobs.context("a"))
    with pytest.raises(JobFailed, match=r"model none: .*Could not find model"):
        run_transform(request(bucket, "none"), jobs.context("b"))


def test_an_archive_that_leads_outside_is_refused(bucket, model, jobs, make_archive):
    bucket.put("in/a.jsonl", lines("x"))
    bucket.put("model.tar.gz", make_archive({"../outside": "x"}))
    with pytest.raises(JobFailed, match=r"expected a \.tar\.gz archive: .*outside"):
        run_transform(request(bucket, model), jobs.context())


@pytest.mark.slow
@pytest.mark.usefixtures("each_way_of_paths")
def test_jobs_side_by_side_have_a_server_each_and_leave_none(bucket, model, jobs):
    bucket.put("in/a.jsonl", lines("x", "y"))
    threads = []
    for name in ("one", "two"):
        given = request(bucket, model)
        given["TransformOutput"] = {**given["TransformOutput"], "S3OutputPath": bucket.uri(f"out/{name}")}
        threads.append(threading.Thread(target=run_transform, args=(given, jobs.context(name))))
        threads[-1].start()
    for thread in threads:
        thread.join()
    for name in ("one", "two"):
        answers = labels(bucket.get(f"out/{name}/a.jsonl.out"))
        assert answers == [{"label": "W x", "size": 2}, {"label": "W y", "size": 2}]

    def listed():
        return subprocess.run(["ps", "axww"], capture_output=True, text=True).stdout

    wait_for(lambda: str(jobs.sandbox.folder) not in listed().replace(str(os.getpid()), ""), listed)


MEBIBYTE = 1024 * 1024


def part(bucket, range_):
    answer = bucket.client.get_object(Bucket=bucket.name, Key="a", Range=range_)
    return answer["Body"].read(), answer.get("ContentRange"), answer["ContentLength"]


@pytest.mark.parametrize(
    ("range_", "content", "said"),
    [
        ("bytes=0-3", b"0123", "bytes 0-3/10"),
        ("bytes=7-", b"789", "bytes 7-9/10"),
        ("bytes=7-99", b"789", "bytes 7-9/10"),
        ("bytes=-2", b"89", "bytes 8-9/10"),
        ("bytes=0-1,4-5", b"0123456789", None),
    ],
)
def test_a_range_is_that_part(bucket, range_, content, said):
    bucket.put("a", b"0123456789")
    assert part(bucket, range_) == (content, said, len(content))


def test_a_range_beyond_the_end_is_refused(bucket):
    bucket.put("a", b"0123")
    with pytest.raises(ClientError, match="InvalidRange"):
        part(bucket, "bytes=4-")


def test_ranges_of_a_large_object_are_all_that_is_read(bucket):
    bucket.put("a", b"x" * (64 * MEBIBYTE))
    tracemalloc.start()
    try:
        for number in range(8):
            assert (
                len(part(bucket, f"bytes={number * MEBIBYTE}-{(number + 1) * MEBIBYTE - 1}")[0]) == MEBIBYTE
            )
        assert tracemalloc.get_traced_memory()[1] < 16 * MEBIBYTE
    finally:
        tracemalloc.stop()


def test_a_restored_object_is_read_in_parts(tmp_path, images):
    with Sandbox(tmp_path / "s", images) as first:
        client = first.client("s3")
        place = {"LocationConstraint": "ca-central-1"}
        client.create_bucket(Bucket="kept", CreateBucketConfiguration=place)
        client.put_object(Bucket="kept", Key="a", Body=b"0123456789")
    with Sandbox(tmp_path / "s", images) as second:
        answer = second.client("s3").get_object(Bucket="kept", Key="a", Range="bytes=3-5")
        assert answer["Body"].read() == b"345"
        assert second.client("s3").get_object(Bucket="kept", Key="a")["Body"].read() == b"0123456789"
