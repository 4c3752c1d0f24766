"""Many events at once: none is lost, and what they start takes turns."""

import contextlib
import json
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from mlops_workbench.sandbox import Sandbox
from mlops_workbench.sandbox.services import events
from mlops_workbench.sandbox.services.sagemaker.pipelines import running
from mlops_workbench.sandbox.state.store import Saver
from tests.sandbox.services.events.support import (
    ACCOUNT,
    REGION,
    make_function,
    make_role,
    make_rule,
)
from tests.waiting import FOREVER, wait_for

NAMES = ("Bucket", "Key", "Version")
FAIL = {"Name": "stop", "Type": "Fail", "Arguments": {"ErrorMessage": {"Get": "Parameters.Key"}}}


def make_pipeline(sandbox, *steps, name="answer"):
    """A pipeline that is told of new objects under input/; its name."""
    definition = {
        "Version": "2020-12-01",
        "Parameters": [{"Name": each, "Type": "String"} for each in NAMES],
        "Steps": list(steps),
    }
    arn = sandbox.client("sagemaker").create_pipeline(
        PipelineName=name, PipelineDefinition=json.dumps(definition), ClientRequestToken="0" * 32,
        RoleArn=make_role(sandbox, name, "sagemaker.amazonaws.com"),
    )["PipelineArn"]  # fmt: skip
    role = make_role(sandbox, f"{name}-start", "events.amazonaws.com", "sagemaker:StartPipelineExecution")
    paths = ("$.detail.bucket.name", "$.detail.object.key", "$.detail.object.version-id")
    parameters = [{"Name": key, "Value": path} for key, path in zip(NAMES, paths, strict=True)]
    target = {"Arn": arn, "RoleArn": role}
    target["SageMakerPipelineParameters"] = {"PipelineParameterList": parameters}
    pattern = {
        "source": ["aws.s3"],
        "detail-type": ["Object Created"],
        "detail": {"object": {"key": [{"prefix": "input/"}]}},
    }
    make_rule(sandbox, pattern, target)
    return name


@pytest.fixture
def drop(bucket):
    """Puts an object into a bucket that tells EventBridge and keeps versions; returns the version."""
    setting = {"EventBridgeConfiguration": {}}
    bucket.client.put_bucket_notification_configuration(Bucket=bucket.name, NotificationConfiguration=setting)
    bucket.client.put_bucket_versioning(Bucket=bucket.name, VersioningConfiguration={"Status": "Enabled"})
    return lambda key: bucket.client.put_object(Bucket=bucket.name, Key=key, Body=b"x")["VersionId"]


def executions(sandbox, name="answer"):
    pages = sandbox.client("sagemaker").get_paginator("list_pipeline_executions")
    found = pages.paginate(PipelineName=name, PaginationConfig={"PageSize": 100})
    return [entry for page in found for entry in page["PipelineExecutionSummaries"]]


def ended(sandbox, count):
    found = executions(sandbox)
    running = any(entry["PipelineExecutionStatus"] in ("Executing", "Stopping") for entry in found)
    return found if len(found) == count and not running else None


def given(sandbox, entry):
    answer = sandbox.client("sagemaker").list_pipeline_parameters_for_execution(
        PipelineExecutionArn=entry["PipelineExecutionArn"]
    )
    return {each["Name"]: each["Value"] for each in answer["PipelineParameters"]}


KEYS = ["input/a b.csv", "input/ü/日本 +%20&=.csv", 'input/"q\'uoted".csv', "input/" + "é" * 500 + "/😀.csv"]


@pytest.mark.parametrize("key", KEYS)
def test_a_pipeline_gets_the_key_as_it_is_and_the_version(sandbox, bucket, drop, key):
    """EventBridge, unlike S3's own notifications, does not encode keys. A key has up to 1,024 bytes."""
    make_pipeline(sandbox, FAIL)
    version = drop(key)
    (entry,) = wait_for(lambda: ended(sandbox, 1))
    assert given(sandbox, entry) == {"Bucket": bucket.name, "Key": key, "Version": version}
    assert entry["PipelineExecutionFailureReason"] == f"Step 'stop' failed: {key}"


def test_a_parameter_has_1024_characters_at_most(sandbox):
    name = make_pipeline(sandbox, FAIL)
    start = sandbox.client("sagemaker").start_pipeline_execution
    given_ = [{"Name": each, "Value": "x"} for each in ("Bucket", "Version")]
    text = "ü\n😀" + "x" * 1021
    start(PipelineName=name, PipelineParameters=[*given_, {"Name": "Key", "Value": text}])
    with pytest.raises(sandbox.client("sagemaker").exceptions.ClientError, match="at most 1024 characters"):
        start(PipelineName=name, PipelineParameters=[*given_, {"Name": "Key", "Value": text + "x"}])
    (entry,) = wait_for(lambda: ended(sandbox, 1))
    assert given(sandbox, entry)["Key"] == text


def test_every_one_of_many_events_starts_an_execution(sandbox, bucket, drop):
    make_pipeline(sandbox, FAIL)
    keys = [f"input/{number}.csv" for number in range(120)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(drop, keys))
    assert threading.active_count() < 100
    # Of what is there: a client that repeats a call whose answer it has not got makes a version more.
    listed = bucket.client.get_paginator("list_object_versions").paginate(Bucket=bucket.name)
    made = Counter((each["Key"], each["VersionId"]) for page in listed for each in page["Versions"])
    assert {key for key, _ in made} == set(keys)
    found = wait_for(lambda: ended(sandbox, len(made)))
    parameters = [given(sandbox, entry) for entry in found]
    assert Counter((each["Key"], each["Version"]) for each in parameters) == made
    for entry, each in zip(found, parameters, strict=True):
        assert entry["PipelineExecutionFailureReason"] == f"Step 'stop' failed: {each['Key']}"


SLOW = "import time\ndef handler(event, context):\n    time.sleep(0.4)\n    return {}"


@pytest.fixture
def start_slow(tmp_path, images, monkeypatch):
    """Opens a sandbox of so many executions at a time and starts further ones of a slow pipeline."""

    def start(limit, count):
        monkeypatch.setenv(running.SWITCH, str(limit))
        sandbox = stack.enter_context(Sandbox(tmp_path / "s", images, accounts=(ACCOUNT,), region=REGION))
        step = {
            "Name": "wait",
            "Type": "Lambda",
            "FunctionArn": make_function(sandbox, SLOW),
            "Arguments": {},
        }
        request = {
            "PipelineName": make_pipeline(sandbox, step),
            "PipelineParameters": [{"Name": each, "Value": "x"} for each in NAMES],
        }
        client = sandbox.client("sagemaker")
        arns = [client.start_pipeline_execution(**request)["PipelineExecutionArn"] for _ in range(count)]
        return sandbox, arns, lambda: stack.close()

    with contextlib.ExitStack() as stack:
        yield start


def test_executions_take_turns(start_slow):
    sandbox, arns, _ = start_slow(2, 7)
    client = sandbox.client("sagemaker")
    client.stop_pipeline_execution(PipelineExecutionArn=arns[-1])  # one that waits ends without a step
    found = wait_for(lambda: ended(sandbox, 7))
    statuses = {entry["PipelineExecutionArn"]: entry["PipelineExecutionStatus"] for entry in found}
    assert [statuses[arn] for arn in arns] == ["Succeeded"] * 6 + ["Stopped"]
    steps = [
        client.list_pipeline_execution_steps(PipelineExecutionArn=arn)["PipelineExecutionSteps"]
        for arn in arns
    ]
    assert [len(each) for each in steps] == [1] * 6 + [0]
    times = [(each[0]["StartTime"], each[0]["EndTime"]) for each in steps[:-1]]
    assert all(earlier[0] <= later[0] for earlier, later in zip(times, times[2:], strict=False))
    together = [sum(begin <= moment < end for begin, end in times) for moment, _ in times]
    assert max(together) == 2


def test_those_that_wait_are_stopped_when_the_sandbox_is_closed(start_slow, images):
    sandbox, _, close = start_slow(1, 5)
    close()
    with Sandbox(sandbox.folder, images, accounts=(ACCOUNT,), region=REGION) as again:
        found = Counter(entry["PipelineExecutionStatus"] for entry in executions(again))
    assert found == {"Stopped": 5}


def test_functions_take_turns_and_all_are_called(sandbox, bucket, monkeypatch):
    monkeypatch.setattr(sandbox.work.functions, "width", 2)
    code = (
        "import boto3\ndef handler(event, context):\n    key = f\"called/{event['n']}\"\n"
        f"    boto3.client('s3').put_object(Bucket='{bucket.name}', Key=key, Body=b'')\n"
    )
    arn = make_function(sandbox, code)
    for number in range(6):
        sandbox.client("lambda").invoke(
            FunctionName=arn, InvocationType="Event", Payload=json.dumps({"n": number})
        )
    assert sandbox.work.functions.threads == 2
    assert events.wait_idle(FOREVER)
    assert bucket.keys("called/") == [f"called/{number}" for number in range(6)]
    assert sandbox.work.functions.threads == 0


def test_snapshots_are_shared_by_those_that_ask_together():
    saved, go = [], threading.Event()

    def save():
        saved.append(1)
        go.wait(FOREVER)

    saver = Saver(save)
    first = threading.Thread(target=saver.ask)
    first.start()
    assert wait_for(lambda: saved)
    for _ in range(50):
        saver.ask()  # comes back at once
    go.set()
    first.join()
    assert wait_for(lambda: len(saved) == 2)
    saver.close()
    saver.ask()
    assert len(saved) == 2


def test_a_snapshot_that_is_planned_is_left_to_who_closes():
    saved = []
    saver = Saver(lambda: saved.append(1))
    saver.ask()
    saver.ask()
    assert saved == [1]
    saver.close()
    assert saved == [1]
