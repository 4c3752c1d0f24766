"""Processing jobs, and data into jobs and out of them."""

import json
import threading
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from mlops_workbench.sandbox.errors import JobFailed, JobStopped
from mlops_workbench.sandbox.images import Images
from mlops_workbench.sandbox.services.sagemaker import s3
from mlops_workbench.sandbox.services.sagemaker.jobs import channels
from mlops_workbench.sandbox.services.sagemaker.jobs.processing import run_processing
from tests.waiting import wait_for

ROLE = "arn:aws:iam::111111111111:role/sandbox"
CODE = "/opt/ml/processing/input/code"


def request(bucket, script, *arguments, count=1, **changes):
    """A processing job that runs a script, with its inputs and outputs in the bucket."""
    bucket.put("code/step.py", script)

    def source(name, path, **more):
        entry = {
            "S3Uri": bucket.uri(name),
            "LocalPath": path,
            "S3DataType": "S3Prefix",
            "S3InputMode": "File",
        }
        return {"InputName": name, "S3Input": {**entry, **more}}

    output = {
        "S3Uri": bucket.uri("out"),
        "LocalPath": "/opt/ml/processing/output",
        "S3UploadMode": "EndOfJob",
    }
    return {
        "AppSpecification": {
            "ImageUri": "image",
            "ContainerEntrypoint": ["python3", f"{CODE}/step.py"],
            "ContainerArguments": list(arguments),
        },
        "ProcessingInputs": [source("code", CODE), source("data", "/opt/ml/processing/input/data")],
        "ProcessingOutputConfig": {"Outputs": [{"OutputName": "result", "S3Output": output}]},
        "ProcessingResources": {
            "ClusterConfig": {"InstanceCount": count, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 1}
        },
        "RoleArn": ROLE,
        **changes,
    }


@pytest.fixture
def data(bucket):
    for name in ("a", "b", "c"):
        bucket.put(f"data/{name}.txt", name)
    return bucket


COPY = """
import os, pathlib, sys
source, target = map(pathlib.Path, sys.argv[1:3])
for path in source.iterdir():
    (target / path.name).write_text(path.read_text() + os.environ["SUFFIX"])
print("copied")
"""
PATHS = ["/opt/ml/processing/input/data", "/opt/ml/processing/output"]


@pytest.mark.usefixtures("each_way_of_paths")
def test_inputs_arrive_and_outputs_leave(data, jobs):
    given = request(data, COPY, *PATHS, Environment={"SUFFIX": "!"})
    answer = run_processing(given, jobs.context())
    assert {key: data.get(f"out/{key}") for key in ("a.txt", "b.txt")} == {"a.txt": b"a!", "b.txt": b"b!"}
    assert answer["ProcessingJobStatus"] == "Completed"
    assert jobs.lines == ["copied"]
    assert (jobs.context().folder / "log.txt").read_text() == "copied\n"


def test_a_job_is_seen_by_plain_boto3_while_it_runs_and_afterwards(data, jobs, sandbox, tmp_path):
    client = sandbox.client("sagemaker")
    seen = tmp_path / "seen"
    script = (
        f"import os, time\nprint('up', flush=True)\nwhile not os.path.exists({str(seen)!r}): time.sleep(0.02)"
    )
    given = request(data, script, Tags=[{"Key": "a", "Value": "b"}])
    worker = threading.Thread(target=run_processing, args=(given, jobs.context("seen")))
    worker.start()
    wait_for(lambda: jobs.lines)
    during = client.describe_processing_job(ProcessingJobName="seen")
    seen.touch()
    worker.join()
    after = client.describe_processing_job(ProcessingJobName="seen")
    assert (during["ProcessingJobStatus"], after["ProcessingJobStatus"]) == ("InProgress", "Completed")
    assert "ProcessingEndTime" not in during
    assert after["CreationTime"] <= after["ProcessingStartTime"] < after["ProcessingEndTime"]
    for key in (
        "AppSpecification",
        "ProcessingInputs",
        "ProcessingOutputConfig",
        "ProcessingResources",
        "RoleArn",
    ):
        assert after[key] == given[key]
    assert client.list_tags(ResourceArn=after["ProcessingJobArn"])["Tags"] == given["Tags"]
    (listed,) = client.list_processing_jobs(StatusEquals="Completed")["ProcessingJobSummaries"]
    assert listed["ProcessingJobName"] == "seen"
    assert client.list_processing_jobs(StatusEquals="Failed")["ProcessingJobSummaries"] == []


def test_a_failure_has_the_exit_code_the_message_and_the_last_lines_and_no_outputs(data, jobs, sandbox):
    script = """
import sys
open("/opt/ml/output/message", "w").write("the data is bad")
open("/opt/ml/processing/output/half", "w").write("x")
for number in range(60): print("line", number)
sys.exit(3)
"""
    with pytest.raises(JobFailed) as error:
        run_processing(request(data, script), jobs.context("bad"))
    assert error.value.exit_code == 3
    assert error.value.reason == "AlgorithmError: exit code 3: the data is bad"
    assert error.value.last_lines[-1] == "line 59"
    assert error.value.kind == "SageMaker.JOB_INTERNAL_ERROR"
    assert data.keys("out") == []
    described = sandbox.client("sagemaker").describe_processing_job(ProcessingJobName="bad")
    assert described["ProcessingJobStatus"] == "Failed"
    assert described["FailureReason"] == error.value.reason
    assert described["ExitMessage"] == "the data is bad"


def test_a_job_has_a_containers_environment_and_nothing_of_the_hosts(data, jobs, monkeypatch):
    monkeypatch.setenv("SECRET_OF_THE_HOST", "x")
    script = "import json, os; json.dump(dict(os.environ), open('/opt/ml/processing/output/env.json', 'w'))"
    run_processing(request(data, script, Environment={"GIVEN": "1"}), jobs.context())
    seen = json.loads(data.get("out/env.json"))
    assert seen["GIVEN"] == "1"
    assert seen["AWS_ENDPOINT_URL"] == jobs.sandbox.endpoint_url
    assert seen["HF_HUB_OFFLINE"] == "1"
    assert seen["HOME"].startswith(str(jobs.sandbox.folder))
    assert "SECRET_OF_THE_HOST" not in seen


def test_the_configuration_is_where_the_container_contract_has_it(data, jobs):
    script = """
import shutil
for name in ("processingjobconfig", "resourceconfig"):
    shutil.copy(f"/opt/ml/config/{name}.json", "/opt/ml/processing/output")
"""
    given = request(data, script)
    run_processing(given, jobs.context("configured"))
    configuration = json.loads(data.get("out/processingjobconfig.json"))
    assert configuration["ProcessingJobName"] == "configured"
    assert configuration["ProcessingInputs"] == given["ProcessingInputs"]
    resources = json.loads(data.get("out/resourceconfig.json"))
    assert resources["hosts"] == ["algo-1"]
    assert resources["instance_groups"][0]["instance_type"] == "ml.m5.large"


TWO_HOSTS = """
import json, os, pathlib, socket, sys
resources = json.load(open(sys.argv[1] + "/config/resourceconfig.json"))
host = resources["current_host"]
index = resources["hosts"].index(host)
names = sorted(os.listdir(sys.argv[1] + "/processing/input/data"))
addresses = [socket.gethostbyname(name) for name in resources["hosts"]]
record = {"host": host, "names": names, "addresses": addresses, "threads": os.environ.get("OMP_NUM_THREADS")}
pathlib.Path(sys.argv[1], "processing/output", f"host-{index}.json").write_text(json.dumps(record))
print("done")
"""


def test_two_instances_share_the_data_and_find_each_other(data, jobs, each_way_of_paths):
    given = request(data, TWO_HOSTS, "/opt/ml", count=2)
    given["ProcessingInputs"][1]["S3Input"]["S3DataDistributionType"] = "ShardedByS3Key"
    run_processing(given, jobs.context())
    first, second = (json.loads(data.get(f"out/host-{index}.json")) for index in (0, 1))
    assert (first["names"], second["names"]) == (["a.txt", "c.txt"], ["b.txt"])
    assert first["addresses"] == second["addresses"] == ["127.0.0.1", "127.0.0.2"]
    assert first["threads"] is not None
    if each_way_of_paths == "namespace":
        assert (first["host"], second["host"]) == ("algo-1", "algo-2")
    assert sorted(jobs.lines) == ["[algo-1] done", "[algo-2] done"]


def test_a_stop_ends_the_job(data, jobs, sandbox):
    stop = threading.Event()
    context = jobs.context("stopped", stop=stop, log=lambda job, line: stop.set())
    with pytest.raises(JobStopped):
        run_processing(request(data, "import time; print('up', flush=True); time.sleep(3600)"), context)
    described = sandbox.client("sagemaker").describe_processing_job(ProcessingJobName="stopped")
    assert described["ProcessingJobStatus"] == "Stopped"
    assert "FailureReason" not in described


def test_a_job_that_is_stopped_before_it_begins_runs_nothing(data, jobs):
    context = jobs.context()
    context.stop.set()
    with pytest.raises(JobStopped):
        run_processing(request(data, "print('ran')"), context)
    assert jobs.lines == []


def test_a_job_that_runs_too_long_fails(data, jobs):
    given = request(data, "import time; time.sleep(3600)", StoppingCondition={"MaxRuntimeInSeconds": 1})
    with pytest.raises(JobFailed, match=r"longer than its 1 s \(MaxRuntimeInSeconds\)"):
        run_processing(given, jobs.context())


def test_missing_data_is_named(bucket, jobs):
    with pytest.raises(JobFailed, match="no objects under s3://test-bucket/data"):
        run_processing(request(bucket, ""), jobs.context())


def test_an_image_that_nothing_stands_for_is_named(data, jobs):
    with pytest.raises(JobFailed, match="matches image") as error:
        run_processing(request(data, ""), jobs.context(images=Images()))
    assert error.value.kind == "SageMaker.RESOURCE_LIMIT"


def test_a_path_outside_of_opt_ml_is_refused(data, jobs):
    given = request(data, "")
    given["ProcessingInputs"][1]["S3Input"]["LocalPath"] = "/opt/ml/../../etc"
    with pytest.raises(JobFailed, match=r"expected a path below /opt/ml, got /opt/ml/\.\./\.\./etc"):
        run_processing(given, jobs.context())


def test_a_name_can_be_used_once(data, jobs):
    run_processing(request(data, ""), jobs.context("once"))
    with pytest.raises(JobFailed, match="must be unique"):
        run_processing(request(data, ""), jobs.context("once"))


def test_nothing_is_left_on_the_host(data, jobs):
    mounts = Path("/proc/mounts")
    before = mounts.read_text()
    run_processing(request(data, COPY, *PATHS, Environment={"SUFFIX": ""}), jobs.context())
    assert mounts.read_text() == before


def status_of(client, name):
    return client.describe_processing_job(ProcessingJobName=name)["ProcessingJobStatus"]


def test_create_processing_job_really_runs_it(data, sandbox):
    client = sandbox.client("sagemaker")
    given = request(data, COPY, *PATHS, Environment={"SUFFIX": "?"})
    client.create_processing_job(ProcessingJobName="direct", **given)
    with pytest.raises(ClientError, match="ResourceInUse"):
        client.create_processing_job(ProcessingJobName="direct", **given)
    wait_for(lambda: status_of(client, "direct") != "InProgress")
    assert data.get("out/a.txt") == b"a?"


def test_stop_processing_job_stops_it(data, sandbox, tmp_path):
    client = sandbox.client("sagemaker")
    up = tmp_path / "up"
    script = (
        "import signal, sys, time\nsignal.signal(15, lambda *_: sys.exit(0))\n"
        f"open({str(up)!r}, 'w').close()\ntime.sleep(3600)"
    )
    client.create_processing_job(ProcessingJobName="direct", **request(data, script, "argument"))
    wait_for(up.exists)
    client.stop_processing_job(ProcessingJobName="direct")
    wait_for(lambda: status_of(client, "direct") not in ("InProgress", "Stopping"))
    assert status_of(client, "direct") == "Stopped"
    with pytest.raises(ClientError, match="is in status Stopped"):
        client.stop_processing_job(ProcessingJobName="direct")


def test_an_unknown_job_is_named(sandbox):
    with pytest.raises(ClientError, match="Could not find requested job with name: none"):
        sandbox.client("sagemaker").describe_processing_job(ProcessingJobName="none")


def fetched(bucket, source, tmp_path, **host):
    folder = tmp_path / f"fetched-{len(list(tmp_path.iterdir()))}"
    channels.fetch(bucket.client, channels.find(bucket.client, source, **host), folder)
    return {
        path.relative_to(folder).as_posix(): path.read_text()
        for path in folder.rglob("*")
        if path.is_file()
    }  # fmt: skip


@pytest.fixture
def stored(bucket):
    for key in ("data/train/a.csv", "data/train/sub/b.csv", "data/train.csv", "data/trainer/c.csv"):
        bucket.put(key, key)
    bucket.put("data/train/")  # the console's marker of a folder
    return bucket


def test_a_prefix_with_a_slash_is_a_folder(stored, tmp_path):
    found = fetched(stored, channels.Source(stored.uri("data/train/")), tmp_path)
    assert found == {"a.csv": "data/train/a.csv", "sub/b.csv": "data/train/sub/b.csv"}


def test_a_prefix_without_a_slash_takes_what_starts_with_it(stored, tmp_path):
    found = fetched(stored, channels.Source(stored.uri("data/train")), tmp_path)
    assert set(found) == {"a.csv", "sub/b.csv", "train.csv", "trainer/c.csv"}


def test_the_key_of_an_object_is_that_object(stored, tmp_path):
    assert fetched(stored, channels.Source(stored.uri("data/train.csv")), tmp_path) == {
        "train.csv": "data/train.csv"
    }


def test_a_whole_bucket_can_be_a_source(stored, tmp_path):
    assert len(fetched(stored, channels.Source(f"s3://{stored.name}"), tmp_path)) == 4


def test_more_objects_than_a_page_of_the_listing_holds(bucket, monkeypatch):
    for number in range(5):
        bucket.put(f"many/{number}")
    paginate = bucket.client.get_paginator
    monkeypatch.setattr(bucket.client, "get_paginator", lambda name: Small(paginate(name)))
    assert len(list(s3.keys(bucket.client, bucket.uri("many/")))) == 5


class Small:
    """A paginator with pages of two."""

    def __init__(self, paginator):
        self.paginator = paginator

    def paginate(self, **request):
        return self.paginator.paginate(**request, PaginationConfig={"PageSize": 2})


def test_shards_are_disjoint_and_whole(stored, tmp_path):
    source = channels.Source(stored.uri("data/"), sharded=True)
    parts = [fetched(stored, source, tmp_path, host=host, hosts=3) for host in range(3)]
    names = [name for part in parts for name in part]
    assert len(names) == len(set(names)) == 4


def test_a_replicated_source_goes_to_every_host(stored, tmp_path):
    source = channels.Source(stored.uri("data/"))
    assert len(fetched(stored, source, tmp_path, host=1, hosts=2)) == 4


def test_a_manifest_names_the_objects(stored, tmp_path):
    manifest = [{"prefix": stored.uri("data/")}, "train/a.csv", "train.csv"]
    stored.put("manifest", json.dumps(manifest))
    found = fetched(stored, channels.Source(stored.uri("manifest"), manifest=True), tmp_path)
    assert set(found) == {"train/a.csv", "train.csv"}


@pytest.mark.parametrize("content", ["{", "{}", "[]", '["x"]', '[{"prefx": "s3://b/"}]'])
def test_a_manifest_that_is_none_is_explained(bucket, content):
    bucket.put("manifest", content)
    with pytest.raises(JobFailed, match="expected a manifest"):
        channels.find(bucket.client, channels.Source(bucket.uri("manifest"), manifest=True))


def test_a_key_that_leads_out_of_the_folder_is_refused(bucket, tmp_path):
    items = [channels.Item(bucket.name, "k", "../outside")]
    with pytest.raises(JobFailed, match="outside its folder"):
        channels.fetch(bucket.client, items, tmp_path / "folder")
    assert not (tmp_path / "outside").exists()


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("s3://test-bucket/none/", "no objects under s3://test-bucket/none/"),
        ("s3://no-such-bucket/x", "cannot list s3://no-such-bucket/x: .*NoSuchBucket"),
        ("https://example.org/x", "expected an S3 URI, s3://bucket/prefix, got 'https://example.org/x'"),
    ],
)
def test_a_source_that_is_not_there_is_named(bucket, uri, message):
    with pytest.raises(JobFailed, match=message):
        channels.find(bucket.client, channels.Source(uri))


@pytest.mark.parametrize("kind", ["AugmentedManifestFile", "Converse"])
def test_a_data_type_that_is_not_offered_is_refused(kind):
    with pytest.raises(JobFailed, match=f"expected S3Prefix or ManifestFile, got {kind}"):
        channels.Source.of({"S3Uri": "s3://b/k", "S3DataType": kind})


def test_a_folder_is_sent_with_its_paths(bucket, tmp_path):
    (tmp_path / "out" / "sub").mkdir(parents=True)
    (tmp_path / "out" / "a").write_text("1")
    (tmp_path / "out" / "sub" / ".hidden").write_text("2")
    assert channels.send(bucket.client, tmp_path / "out", bucket.uri("result/")) == 2
    assert bucket.keys() == ["result/a", "result/sub/.hidden"]


def test_sending_into_a_bucket_that_does_not_exist_is_explained(bucket, tmp_path):
    (tmp_path / "a").write_text("1")
    with pytest.raises(JobFailed, match="cannot write s3://no-such-bucket/x/a"):
        channels.send(bucket.client, tmp_path, "s3://no-such-bucket/x")
