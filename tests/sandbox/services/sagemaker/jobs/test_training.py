import contextlib
import importlib.util
import json
import signal
import subprocess
import sys
import textwrap
import threading
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest

from mlops_workbench.sandbox.containers import process
from mlops_workbench.sandbox.errors import JobFailed, JobStopped
from mlops_workbench.sandbox.images import Images
from mlops_workbench.sandbox.services.sagemaker.jobs import training
from mlops_workbench.sandbox.services.sagemaker.jobs.training import run_training
from tests.waiting import wait_for

REAL_TOOLKIT = "sagemaker-training"


def request(bucket, make_archive, script, *, count=1, parameters=None, **changes):
    """A training job that runs a script from an archive in the bucket."""
    bucket.put("source.tar.gz", make_archive({"train.py": textwrap.dedent(script)}))
    bucket.put("data/train/x.csv", "x")
    own = {"sagemaker_program": "train.py", "sagemaker_submit_directory": bucket.uri("source.tar.gz")}
    source = {"S3DataType": "S3Prefix", "S3Uri": bucket.uri("data/train/")}
    return {
        "AlgorithmSpecification": {
            "TrainingImage": "huggingface-pytorch-training:latest",
            "TrainingInputMode": "File",
            "MetricDefinitions": [
                {"Name": "loss", "Regex": r"'loss': ([0-9.e-]+)"},
                {"Name": "never", "Regex": "never=(.*)"},
            ],
        },
        "HyperParameters": {**own, **(parameters or {})},
        "InputDataConfig": [{"ChannelName": "train", "DataSource": {"S3DataSource": source}}],
        "OutputDataConfig": {"S3OutputPath": bucket.uri("models")},
        "ResourceConfig": {"InstanceCount": count, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 1},
        "StoppingCondition": {"MaxRuntimeInSeconds": 600},
        "RoleArn": "arn:aws:iam::111111111111:role/sandbox",
        **changes,
    }


TRAIN = """
    import json, os, pathlib, sys
    model = pathlib.Path(os.environ["SM_MODEL_DIR"])
    (model / "code").mkdir()
    (model / "weights").write_text("w")
    (model / "code" / "inference.py").write_text("")
    names = sorted(key for key in os.environ if key.startswith("SM_"))
    record = {
        "arguments": sys.argv[1:],
        "data": os.listdir(os.environ["SM_CHANNEL_TRAIN"]),
        "environment": {key: os.environ[key] for key in names},
        "job": os.environ["TRAINING_JOB_NAME"],
        "folder": os.getcwd(),
    }
    (pathlib.Path(os.environ["SM_OUTPUT_DATA_DIR"]) / "record.json").write_text(json.dumps(record))
    print({"loss": 0.5}); print({"loss": 2.5e-1}, file=sys.stderr)
"""
PARAMETERS = {
    "epochs": "3",
    "learning-rate": "1e-5",
    "name": '"a b"',
    "flag": "true",
    "d": '{"b": 1, "a": 2}',
}
ARGUMENTS = ["-d", "a=2,b=1", "--epochs", "3", "--flag", "True", "--learning-rate", "1e-05", "--name", "a b"]


def record_of(bucket, job, tmp_path):
    (tmp_path / "output.tar.gz").write_bytes(bucket.get(f"models/{job}/output/output.tar.gz"))
    subprocess.run(["tar", "xzf", "output.tar.gz"], cwd=tmp_path, check=True)
    return json.loads((tmp_path / "record.json").read_text())


@pytest.mark.usefixtures("each_way_of_paths")
def test_a_script_is_trained_and_its_model_is_in_s3(bucket, jobs, make_archive, tmp_path, sandbox):
    given = request(bucket, make_archive, TRAIN, parameters=PARAMETERS)
    answer = run_training(given, jobs.context("first"))
    uri = "s3://test-bucket/models/first/output/model.tar.gz"
    assert answer["ModelArtifacts"] == {"S3ModelArtifacts": uri}
    assert bucket.tar("models/first/output/model.tar.gz") == ["code", "code/inference.py", "weights"]
    record = record_of(bucket, "first", tmp_path)
    assert record["arguments"] == ARGUMENTS
    assert record["data"] == ["x.csv"]
    assert record["job"] == "first"
    assert record["folder"] == str(Path(record["environment"]["SM_MODEL_DIR"]).with_name("code"))
    assert json.loads(record["environment"]["SM_HPS"])["epochs"] == 3
    described = sandbox.client("sagemaker").describe_training_job(TrainingJobName="first")
    assert (described["TrainingJobStatus"], described["SecondaryStatus"]) == ("Completed", "Completed")
    phases = [entry["Status"] for entry in described["SecondaryStatusTransitions"]]
    assert phases == ["Starting", "Downloading", "Training", "Uploading", "Completed"]
    (metric,) = described["FinalMetricDataList"]
    assert (metric["MetricName"], metric["Value"]) == ("loss", 0.25)
    assert described["HyperParameters"] == given["HyperParameters"]


def test_a_failure_has_the_scripts_last_words(bucket, jobs, make_archive, sandbox):
    given = request(bucket, make_archive, "raise ValueError('no such label: gaz')")
    with pytest.raises(JobFailed) as error:
        run_training(given, jobs.context("bad"))
    assert error.value.exit_code == 1
    assert error.value.reason.startswith("AlgorithmError: ExecuteUserScriptError:\nExitCode 1\n")
    assert "ValueError: no such label: gaz" in error.value.reason
    described = sandbox.client("sagemaker").describe_training_job(TrainingJobName="bad")
    assert (described["TrainingJobStatus"], described["SecondaryStatus"]) == ("Failed", "Failed")
    assert "ValueError: no such label: gaz" in described["FailureReason"]
    assert bucket.keys("models") == []


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        (
            {"sagemaker_program": "other.py"},
            "other.py: no such file in the source archive, which holds train.py",
        ),
        ({"sagemaker_submit_directory": "s3://test-bucket/none"}, "cannot read s3://test-bucket/none"),
        ({"sagemaker_submit_directory": "s3://test-bucket/data/train/x.csv"}, "expected a .tar.gz archive"),
    ],
)
def test_a_source_that_cannot_be_used_is_explained(bucket, jobs, make_archive, parameters, message):
    with pytest.raises(JobFailed, match=message):
        run_training(request(bucket, make_archive, "", parameters=parameters), jobs.context())


def test_a_channel_without_data_is_named(bucket, jobs, make_archive):
    given = request(bucket, make_archive, "")
    bucket.client.delete_object(Bucket=bucket.name, Key="data/train/x.csv")
    with pytest.raises(JobFailed, match="no objects under s3://test-bucket/data/train/"):
        run_training(given, jobs.context())


def test_pipe_mode_is_refused(bucket, jobs, make_archive):
    given = request(bucket, make_archive, "")
    given["InputDataConfig"][0]["InputMode"] = "Pipe"
    with pytest.raises(JobFailed, match="expected File or FastFile, got Pipe"):
        run_training(given, jobs.context())


def test_a_metric_that_is_no_expression_is_named(bucket, jobs, make_archive):
    given = request(bucket, make_archive, "")
    given["AlgorithmSpecification"]["MetricDefinitions"] = [{"Name": "loss", "Regex": "("}]
    with pytest.raises(JobFailed, match="MetricDefinitions: loss: not a regular expression"):
        run_training(given, jobs.context())


CHECKPOINTS = """
    import os, pathlib, signal, sys, time
    folder = pathlib.Path(sys.argv[sys.argv.index("--checkpoints") + 1])
    folder.mkdir(parents=True, exist_ok=True)
    def save(*_):
        (folder / "step").write_text(str(steps)); sys.exit(0)
    signal.signal(signal.SIGTERM, save)
    steps = int((folder / "step").read_text()) if (folder / "step").exists() else 0
    print("continues from", steps, flush=True)
    while steps < 3:
        steps += 1
        if steps == 2 and "--interrupt" in sys.argv:
            print("interrupt me", flush=True); time.sleep(60)
    pathlib.Path(os.environ["SM_MODEL_DIR"], "steps").write_text(str(steps))
"""


@pytest.mark.usefixtures("each_way_of_paths")
def test_a_job_continues_from_the_checkpoint_of_one_that_was_stopped(bucket, jobs, make_archive, sandbox):
    checkpoints = {
        "CheckpointConfig": {"S3Uri": bucket.uri("checkpoints")},
        "EnableManagedSpotTraining": True,
    }
    parameters = {"checkpoints": "/opt/ml/checkpoints"}
    interrupted = request(
        bucket, make_archive, CHECKPOINTS, parameters={**parameters, "interrupt": "1"}, **checkpoints
    )
    stop = threading.Event()
    context = jobs.context("spot-1", stop=stop, log=lambda job, line: "interrupt me" in line and stop.set())
    with pytest.raises(JobStopped):
        run_training(interrupted, context)
    assert bucket.get("checkpoints/step") == b"2"
    described = sandbox.client("sagemaker").describe_training_job(TrainingJobName="spot-1")
    assert (described["TrainingJobStatus"], described["SecondaryStatus"]) == ("Stopped", "Stopped")
    run_training(
        request(bucket, make_archive, CHECKPOINTS, parameters=parameters, **checkpoints),
        jobs.context("spot-2"),
    )
    assert "continues from 2" in jobs.lines


def test_checkpoints_are_sent_after_a_failure_too(bucket, jobs, make_archive):
    script = """
        import os
        os.makedirs("/opt/ml/checkpoints/a", exist_ok=True)
        open("/opt/ml/checkpoints/a/b", "w").write("c")
        raise SystemExit(5)
    """
    given = request(bucket, make_archive, script, CheckpointConfig={"S3Uri": bucket.uri("checkpoints")})
    with pytest.raises(JobFailed):
        run_training(given, jobs.context())
    assert bucket.get("checkpoints/a/b") == b"c"


def test_a_job_that_runs_too_long_is_stopped_and_keeps_its_model(
    bucket, jobs, make_archive, sandbox, monkeypatch
):
    script = """
        import os, time
        open(os.environ["SM_MODEL_DIR"] + "/half", "w").close()
        print("half", flush=True)
        time.sleep(3600)
    """
    given = request(bucket, make_archive, script, StoppingCondition={"MaxRuntimeInSeconds": 1800})
    passed = [0]  # seconds of a clock that leaps once the job has written something
    clock = SimpleNamespace(monotonic=lambda: time.monotonic() + passed[0], sleep=time.sleep)
    monkeypatch.setattr(process, "time", clock)

    def log(job, line):
        if "half" in line:
            passed[0] = 1800

    with pytest.raises(JobFailed, match=r"longer than its 1800 s \(MaxRuntimeExceeded\)"):
        run_training(given, jobs.context("slow", log=log))
    described = sandbox.client("sagemaker").describe_training_job(TrainingJobName="slow")
    assert (described["TrainingJobStatus"], described["SecondaryStatus"]) == ("Stopped", "MaxRuntimeExceeded")
    assert bucket.tar("models/slow/output/model.tar.gz") == ["half"]


def test_a_model_can_be_left_uncompressed(bucket, jobs, make_archive):
    output = {"S3OutputPath": bucket.uri("models"), "CompressionType": "NONE"}
    answer = run_training(
        request(bucket, make_archive, TRAIN, OutputDataConfig=output), jobs.context("plain")
    )
    assert answer["ModelArtifacts"]["S3ModelArtifacts"] == "s3://test-bucket/models/plain/output/model/"
    assert bucket.get("models/plain/output/model/weights") == b"w"


def test_an_entry_point_of_the_request_replaces_the_toolkit(bucket, jobs, make_archive):
    given = request(bucket, make_archive, "")
    given["AlgorithmSpecification"]["ContainerEntrypoint"] = ["sh", "-c"]
    given["AlgorithmSpecification"]["ContainerArguments"] = ["echo $(ls /opt/ml/input/data/train)"]
    run_training(given, jobs.context())
    assert jobs.lines == ["x.csv"]


def test_two_instances_know_each_other(bucket, jobs, make_archive):
    script = """
        import json, os
        path = os.path.join(os.environ["SM_MODEL_DIR"], os.environ["SM_CURRENT_HOST"])
        open(path, "w").write(os.environ["SM_HOSTS"])
    """
    run_training(request(bucket, make_archive, script, count=2), jobs.context("pair"))
    assert bucket.tar("models/pair/output/model.tar.gz") == ["algo-1", "algo-2"]


def wheel(folder):
    """A wheel of one module, made by hand: building one would need the network."""
    path = folder / "only_here-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("only_here.py", "VALUE = 7")
        archive.writestr(
            "only_here-1.0.dist-info/METADATA",
            "Metadata-Version: 2.1\nName: only-here\nVersion: 1.0\n",
        )
        archive.writestr(
            "only_here-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr("only_here-1.0.dist-info/RECORD", "")
    return path


def test_requirements_are_installed_beside_the_environment(bucket, jobs, make_archive, tmp_path):
    given = request(bucket, make_archive, "")
    script = "import only_here; print(only_here.VALUE)"
    files = {"train.py": script, "requirements.txt": f"{wheel(tmp_path)}\n"}
    bucket.put("source.tar.gz", make_archive(files))
    run_training(given, jobs.context(aws_environment={**jobs.sandbox.environment(), "PIP_NO_INDEX": "1"}))
    assert "7" in jobs.lines
    assert importlib.util.find_spec("only_here") is None


DISTRIBUTED = """
    import os
    import torch, torch.distributed
    torch.distributed.init_process_group("gloo")
    total = torch.tensor([float(torch.distributed.get_rank() + 1)])
    torch.distributed.all_reduce(total)
    rank, size = torch.distributed.get_rank(), torch.distributed.get_world_size()
    # In one piece: the real toolkit breaks a line where two writes of it meet.
    print(f"rank {rank} of {size} sum {total.item()}", flush=True)
    torch.distributed.destroy_process_group()  # else a thread of its own may abort the process at its end
"""


@pytest.mark.slow
@pytest.mark.usefixtures("each_way_of_paths")
def test_two_torchrun_ranks_find_each_other(bucket, jobs, make_archive, container_python):
    parameters = {"sagemaker_torch_distributed_enabled": "true"}
    given = request(bucket, make_archive, DISTRIBUTED, count=2, parameters=parameters)
    run_training(given, jobs.context(images=Images.single(container_python)))
    found = sorted(line.partition("] ")[2] for line in jobs.lines if "rank" in line and "sum" in line)
    assert found == ["rank 0 of 2 sum 3.0", "rank 1 of 2 sum 3.0"]


MEETING = """
    import json, os, socket, time
    if os.environ["SM_CURRENT_HOST"] == json.loads(os.environ["SM_HOSTS"])[0]:
        meeting = socket.socket()
        meeting.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as torch does
        meeting.bind(("", 7777))
        meeting.listen()
        time.sleep(1)
"""


def test_trainings_on_several_hosts_take_turns_at_the_port_where_these_meet(bucket, jobs, make_archive):
    given = request(bucket, make_archive, MEETING, count=2)
    with ThreadPoolExecutor() as threads:
        both = [threads.submit(run_training, given, jobs.context(name)) for name in ("first", "second")]
    assert [each.result()["TrainingJobStatus"] for each in both] == ["Completed", "Completed"]


@pytest.mark.slow
def test_a_stop_ends_every_torchrun_rank(bucket, jobs, make_archive, container_python):
    mark = "ranks-of-the-stopped-training"
    script = DISTRIBUTED + "\n    print('up', flush=True); import time; time.sleep(8342)"
    parameters = {"sagemaker_torch_distributed_enabled": "true", "mark": mark}
    given = request(bucket, make_archive, script, count=2, parameters=parameters)
    images, stop, running = Images.single(container_python), threading.Event(), []

    def log(job, line):
        if "] up" in line:
            running.append(processes_with(mark))
            stop.set()

    with pytest.raises(JobStopped):
        run_training(given, jobs.context(images=images, stop=stop, log=log))
    assert running[0]
    assert processes_with(mark) == []


def processes_with(word: str) -> list[str]:
    """Return the ids of processes that have a word in their environment."""
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):  # it has ended, or is somebody else's
            if word.encode() in path.read_bytes():
                found.append(path.parent.name)
    return found


@pytest.mark.slow
def test_the_real_toolkit_gives_a_script_the_same(bucket, jobs, make_archive, container_python, tmp_path):
    images = Images.single(container_python)
    if not container_python.with_name("train").is_file():
        pytest.skip(f"{container_python}: {REAL_TOOLKIT} is not installed there")
    records = {}
    for name, chosen in (("real", images), ("ours", jobs.sandbox.images)):
        given = request(bucket, make_archive, TRAIN, parameters=PARAMETERS)
        run_training(given, jobs.context(name, images=chosen))
        (tmp_path / name).mkdir()
        records[name] = record_of(bucket, name, tmp_path / name)
        del records[name]["job"]
    real, ours = (records[name].pop("environment") for name in ("real", "ours"))
    assert records["real"] == records["ours"]
    # What names the toolkit's own parts, and the versions of what it found.
    for key in ("SM_FRAMEWORK_MODULE", "SM_DLC_TORCH_VERSION"):
        real.pop(key, None)
        ours.pop(key, None)
    nested = [json.loads(found.pop("SM_TRAINING_ENV")) for found in (real, ours)]
    assert ours == real
    for key in ("job_name", "framework_module", *(key for key in nested[0] if key not in nested[1])):
        nested[0].pop(key, None)
        nested[1].pop(key, None)
    assert nested[1] == nested[0]


def test_the_real_toolkit_is_preferred_where_it_is_installed(tmp_path):
    python = tmp_path / "python"
    python.symlink_to(sys.executable)
    image = Images.single(python).find("x")
    assert training.toolkit_command(image)[0] == str(python)
    (tmp_path / "train").write_text("")
    assert training.toolkit_command(image) == [str(tmp_path / "train")]


def test_a_kill_leaves_no_job_behind(tmp_path):
    program = f"""
        import os, signal, sys, time
        from mlops_workbench.sandbox import Sandbox
        from mlops_workbench.sandbox.images import Images
        with Sandbox({str(tmp_path)!r}, Images.single(sys.executable)) as sandbox:
            s3 = sandbox.client("s3")
            place = {{"LocationConstraint": "ca-central-1"}}
            s3.create_bucket(Bucket="data", CreateBucketConfiguration=place)
            sandbox.client("sagemaker").create_training_job(
                TrainingJobName="sleeper", RoleArn="arn:aws:iam::111111111111:role/sandbox",
                AlgorithmSpecification={{"TrainingImage": "any", "TrainingInputMode": "File",
                    "ContainerEntrypoint": ["sh", "-c", "setsid sleep 8343 & sleep 8343"]}},
                OutputDataConfig={{"S3OutputPath": "s3://data/x"}},
                StoppingCondition={{"MaxRuntimeInSeconds": 600}},
                ResourceConfig={{"InstanceCount": 1, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 1}})
            while not os.popen("pgrep -f '^sleep 8343'").read().split():
                time.sleep(0.02)
            os.kill(os.getpid(), signal.SIGKILL)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(program)])
    assert done.returncode == -signal.SIGKILL
    wait_for(lambda: not subprocess.run(["pgrep", "-f", "^sleep 8343"], capture_output=True).stdout)
