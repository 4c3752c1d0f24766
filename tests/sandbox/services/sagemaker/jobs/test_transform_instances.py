"""Transform jobs on real servers of a few lines: instances, requests side by side, failures, large files."""

import gzip
import json
import subprocess
import threading

import pytest

from mlops_workbench.sandbox.errors import JobFailed, JobStopped
from mlops_workbench.sandbox.services.sagemaker.jobs.transform import run_transform
from tests.sandbox.services.sagemaker.jobs.support import (
    json_lines,
    make_model,
    server_images,
    transform_request,
)
from tests.waiting import wait_for

#: A JSON line for each: its text, how many were asked with it, and the process that answers.
ECHO = """
import json, os
def answer(body, headers):
    lines = body.decode().splitlines()
    answers = [{"text": json.loads(line)["inputs"], "size": len(lines), "pid": os.getpid()} for line in lines]
    return "\\n".join(map(json.dumps, answers)).encode()
"""
#: Refuses requests that hold "bad", ends at "crash", fails once at "again"; at "slow" it says that it was
#: asked, and no more.
TROUBLE = """
import os, time
seen = set()
def answer(body, headers):
    if b"bad" in body:
        return 400, b"cannot read this"
    if b"crash" in body:
        os._exit(7)
    if b"again" in body and body not in seen:
        seen.add(body)
        return 503, b"busy"
    if b"broken" in body:
        return 500, b"never works"
    if b"slow" in body:
        print("asked", flush=True)
        time.sleep(3600)
    return body
"""


@pytest.fixture
def images(tmp_path):
    return server_images(tmp_path)


@pytest.fixture
def model(sandbox, bucket, make_archive):
    return lambda code: make_model(sandbox, bucket, make_archive, code)


def inputs(*texts):
    return json_lines(*({"inputs": text} for text in texts))


def answers(data):
    return [json.loads(line) for line in data.splitlines()]


def left_behind(context):
    listed = subprocess.run(["ps", "axww"], capture_output=True, text=True).stdout
    return [path.name for path in context.folder.glob("*-*") if not path.is_dir()] + [
        line for line in listed.splitlines() if str(context.folder) in line
    ]


@pytest.mark.usefixtures("each_way_of_paths")
def test_each_instance_is_a_server_and_an_object_is_answered_by_one(bucket, model, jobs):
    model(ECHO)
    for number in range(7):
        bucket.put(f"in/{number}.jsonl", inputs(*(f"{number}-{n}" for n in range(5))))
    context = jobs.context()
    run_transform(transform_request(bucket, instances=3, BatchStrategy="SingleRecord"), context)
    pids = []
    for number in range(7):
        found = answers(bucket.get(f"out/{number}.jsonl.out"))
        assert [each["text"] for each in found] == [f"{number}-{n}" for n in range(5)]
        (pid,) = {each["pid"] for each in found}
        pids.append(pid)
    assert len(set(pids)) == 3
    assert pids == (pids[:3] * 3)[:7]
    assert left_behind(context) == []


def test_an_instance_without_an_object_is_not_started(bucket, model, jobs):
    model(ECHO)
    bucket.put("in/a.jsonl", inputs("x"))
    run_transform(transform_request(bucket, instances=20), jobs.context())
    expected = "MaxConcurrentTransforms=1, MaxPayloadInMB=6, BatchStrategy=MULTI_RECORD, instances=1"
    assert expected in jobs.lines


@pytest.mark.parametrize("split", ["Line", "None"])
def test_requests_go_side_by_side_and_are_written_in_order(bucket, model, jobs, split):
    """As many at a time as MaxConcurrentTransforms: of one object, or of several that are a request each."""
    model(
        """
        import json, threading
        change, running, begun, ended = threading.Condition(), [], [], []
        def answer(body, headers):
            text = json.loads(body)["inputs"]
            with change:
                running.append(text)
                begun.append(text)
                count = len(running)
                change.notify_all()
                # nobody is answered before three have asked, and who asked first is answered after others
                change.wait_for(lambda: len(begun) >= 3 and (text != begun[0] or len(ended) >= 2), 300)
                running.remove(text)
                ended.append(text)
                change.notify_all()
            return json.dumps({"text": text, "running": count}).encode()
        """
    )
    texts = [str(number) for number in range(9)]
    if split == "Line":
        bucket.put("in/a.jsonl", inputs(*texts))
    else:
        for text in texts:
            bucket.put(f"in/{text}.json", inputs(text))
    how = {"BatchStrategy": "SingleRecord", "MaxConcurrentTransforms": 3, "given": {"SplitType": split}}
    run_transform(transform_request(bucket, **how), jobs.context())
    found = answers(b"".join(bucket.get(key) for key in bucket.keys("out/")))
    assert [each["text"] for each in found] == texts
    assert max(each["running"] for each in found) == 3


def test_ids_are_joined_with_answers(bucket, model, jobs, sandbox):
    model(ECHO)
    bucket.put("in/a.jsonl", json_lines(*({"id": n, "inputs": f"ü {n}", "secret": "x"} for n in range(40))))
    given = transform_request(
        bucket,
        DataProcessing={
            "InputFilter": "$['inputs','id']",
            "JoinSource": "Input",
            "OutputFilter": "$['id','SageMakerOutput']",
        },
    )
    run_transform(given, jobs.context("joined"))
    found = answers(bucket.get("out/a.jsonl.out"))
    assert [(each["id"], each["SageMakerOutput"]["text"]) for each in found] == [
        (n, f"ü {n}") for n in range(40)
    ]
    assert {tuple(each) for each in found} == {("id", "SageMakerOutput")}
    described = sandbox.client("sagemaker").describe_transform_job(TransformJobName="joined")
    assert described["DataProcessing"] == given["DataProcessing"]


def test_a_join_without_an_answer_for_each_record_fails_the_job(bucket, model, jobs):
    model("def answer(body, headers): return b'{}'")
    bucket.put("in/a.jsonl", inputs("x", "y"))
    given = transform_request(bucket, DataProcessing={"JoinSource": "Input"})
    message = "in/a.jsonl: lines 1 to 2: Fail to join data: mismatched line count .*: 2 asked, 1 answered"
    with pytest.raises(JobFailed, match=message):
        run_transform(given, jobs.context())
    assert bucket.keys("out") == []


def test_a_refused_request_fails_its_object_and_the_others_are_answered(bucket, model, jobs, sandbox):
    """[read] "Batch transform": "a transform job continues to process input files even if it fails … one"."""
    model(TROUBLE)
    bucket.put("in/a.jsonl", inputs("good"))
    bucket.put("in/b.jsonl", inputs(*(["good"] * 3), "bad", *(["good"] * 30)))
    bucket.put("in/c.jsonl", inputs("good", "good"))
    context = jobs.context("some")
    message = "in/b.jsonl: bad HTTP response received from the model for line 4: 400: cannot read this"
    with pytest.raises(JobFailed, match=message) as failed:
        run_transform(transform_request(bucket, BatchStrategy="SingleRecord"), context)
    assert "ClientError: in/b.jsonl" in "\n".join(failed.value.last_lines)
    assert bucket.keys("out") == ["out/a.jsonl.out", "out/c.jsonl.out"]
    assert bucket.get("out/c.jsonl.out").decode() == inputs("good", "good")
    described = sandbox.client("sagemaker").describe_transform_job(TransformJobName="some")
    assert described["TransformJobStatus"] == "Failed"
    assert "line 4: 400" in described["FailureReason"]
    assert left_behind(context) == []


def test_several_failures_are_counted(bucket, model, jobs):
    model(TROUBLE)
    for name in "abc":
        bucket.put(f"in/{name}.jsonl", inputs("bad"))
    with pytest.raises(JobFailed, match=r"in/a\.jsonl: .* \(3 of 3 objects failed; see the log\)"):
        run_transform(transform_request(bucket, instances=2), jobs.context())
    assert sum("cannot read this" in line for line in jobs.lines) == 3


@pytest.mark.parametrize("what", ["large", "gzip"])
def test_an_object_that_cannot_be_cut_leaves_no_output(bucket, model, jobs, what):
    model(TROUBLE)
    bucket.put("in/a.jsonl", gzip.compress(inputs("fine").encode()))
    lines = inputs("good").encode() * 3
    large = gzip.compress(lines + b"x" * 1_048_577)
    bucket.put("in/b.jsonl", large if what == "large" else gzip.compress(lines)[:-4])
    message = {
        "large": "in/b.jsonl: Too much data for max payload size: line 4 is larger than MaxPayloadInMB=1",
        "gzip": "in/b.jsonl: CompressionType Gzip: expected gzip",
    }[what]
    given = transform_request(bucket, MaxPayloadInMB=1, given={"CompressionType": "Gzip"})
    with pytest.raises(JobFailed, match=message):
        run_transform(given, jobs.context())
    assert bucket.keys("out") == ["out/a.jsonl.out"]


def test_a_servers_fault_is_tried_again_and_a_refusal_is_not(bucket, model, jobs):
    model(TROUBLE)
    bucket.put("in/a.jsonl", inputs("again"))
    run_transform(transform_request(bucket), jobs.context("a"))
    assert bucket.get("out/a.jsonl.out").decode() == inputs("again")
    with pytest.raises(JobFailed, match="503: busy"):
        run_transform(
            transform_request(bucket, ModelClientConfig={"InvocationsMaxRetries": 0}), jobs.context("b")
        )
    bucket.put("in/a.jsonl", inputs("broken"))
    with pytest.raises(JobFailed, match="500: never works"):
        run_transform(transform_request(bucket), jobs.context("c"))


def test_a_request_that_takes_too_long_is_given_up(bucket, model, jobs):
    model(TROUBLE)
    bucket.put("in/a.jsonl", inputs("slow"))
    config = {"InvocationsTimeoutInSeconds": 1, "InvocationsMaxRetries": 1}
    with pytest.raises(JobFailed, match="for line 1: timed out"):
        run_transform(transform_request(bucket, ModelClientConfig=config), jobs.context())
    assert jobs.lines.count("asked") == 2


def test_a_server_that_ends_fails_the_job_at_once(bucket, model, jobs):
    model(TROUBLE)
    bucket.put("in/a.jsonl", inputs("crash"))
    for number in range(50):
        bucket.put(f"in/b{number}.jsonl", inputs("good"))
    context = jobs.context()
    with pytest.raises(JobFailed, match="line 1: the model server ended with exit code 7") as failed:
        run_transform(transform_request(bucket, instances=2), context)
    assert failed.value.exit_code == 7
    assert left_behind(context) == []


def test_a_stop_does_not_wait_for_an_answer(bucket, model, jobs):
    model(TROUBLE)
    bucket.put("in/a.jsonl", inputs("slow"))
    bucket.put("in/b.jsonl", inputs("slow"))
    stop = threading.Event()
    context = jobs.context(stop=stop, log=lambda job, line: line.endswith("asked") and stop.set())
    with pytest.raises(JobStopped):
        run_transform(transform_request(bucket, instances=2, MaxConcurrentTransforms=2), context)
    assert left_behind(context) == []
    assert bucket.keys("out") == []


def test_names_are_kept_below_the_prefix(bucket, model, jobs):
    """As for a channel: what begins like the prefix counts, and the path is that below it."""
    model(ECHO)
    for key in ("in/2026/ä b.jsonl", "in/x.jsonl", "in.jsonl", "inner/y.jsonl", "other.jsonl"):
        bucket.put(key, inputs(key))
    given = transform_request(bucket)
    given["TransformInput"]["DataSource"]["S3DataSource"]["S3Uri"] = bucket.uri("in")
    run_transform(given, jobs.context())
    assert sorted(bucket.keys("out")) == [
        "out/2026/ä b.jsonl.out", "out/in.jsonl.out", "out/inner/y.jsonl.out", "out/x.jsonl.out"
    ]  # fmt: skip
    assert answers(bucket.get("out/2026/ä b.jsonl.out"))[0]["text"] == "in/2026/ä b.jsonl"


def test_answers_are_put_together_as_they_are_or_on_lines(bucket, model, jobs):
    model("def answer(body, headers): return body.strip()")
    bucket.put("in/a.jsonl", "a\nb\n")
    for assemble, written in (("None", b"ab"), ("Line", b"a\nb\n")):
        how = {"BatchStrategy": "SingleRecord", "taken": {"AssembleWith": assemble}}
        run_transform(transform_request(bucket, **how), jobs.context(assemble))
        assert bucket.get("out/a.jsonl.out") == written


def test_an_empty_file_gets_an_empty_answer(bucket, model, jobs):
    model(ECHO)
    bucket.put("in/a.jsonl", "\n")
    run_transform(transform_request(bucket), jobs.context())
    assert bucket.get("out/a.jsonl.out") == b""


def test_answers_are_encrypted_with_the_key_that_is_named(bucket, model, jobs, sandbox):
    model(ECHO)
    key = sandbox.client("kms").create_key()["KeyMetadata"]["Arn"]
    bucket.put("in/a.jsonl", inputs("x"))
    run_transform(transform_request(bucket, taken={"KmsKeyId": key}), jobs.context())
    head = bucket.client.head_object(Bucket=bucket.name, Key="out/a.jsonl.out")
    assert (head["ServerSideEncryption"], head["SSEKMSKeyId"]) == ("aws:kms", key)


def test_what_is_called_twice_is_run_by_the_service_too(bucket, model, sandbox):
    """CreateTransformJob itself, twice side by side, with objects for two instances each."""
    model(ECHO)
    for name in "abcd":
        bucket.put(f"in/{name}.jsonl", inputs(name))
    client = sandbox.client("sagemaker")
    for name in ("one", "two"):
        given = transform_request(bucket, instances=2, taken={"S3OutputPath": bucket.uri(f"out/{name}")})
        client.create_transform_job(TransformJobName=name, **given)

    def status(name):
        return client.describe_transform_job(TransformJobName=name)["TransformJobStatus"]

    wait_for(lambda: "InProgress" not in map(status, ("one", "two")))
    assert len(bucket.keys("out/one")) == len(bucket.keys("out/two")) == 4
