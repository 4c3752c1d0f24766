"""Training jobs: channels and hyperparameters in, checkpoints, a model and metrics out.

The contract is [read] in AWS's "Run Your Training Container": /opt/ml/input/config/*.json, a folder for
each channel below /opt/ml/input/data, the command ``train``, and what is left in /opt/ml/model,
/opt/ml/output/data and /opt/ml/output/failure. Figures that a job prints are collected with the request's
regular expressions.

What an image runs as ``train`` is the real toolkit if its environment has it, else ``inside/train.py``.
The toolkit of SageMaker's images, ``sagemaker-training``, comes as source with a C extension and twenty
dependencies: a laptop without a compiler cannot install it. Where it is installed it is used; where not, a
script of the standard library keeps the same contract. A test runs both and compares.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import re
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from mlops_workbench.sandbox.containers.context import JobContext
from mlops_workbench.sandbox.containers.hosts import Cluster, Machine
from mlops_workbench.sandbox.containers.process import INSIDE
from mlops_workbench.sandbox.errors import JobFailed, JobStopped
from mlops_workbench.sandbox.images import Image
from mlops_workbench.sandbox.services.sagemaker import s3
from mlops_workbench.sandbox.services.sagemaker.jobs import channels
from mlops_workbench.sandbox.services.sagemaker.jobs.running import Job, running
from mlops_workbench.sandbox.services.sagemaker.records import now

_CHECKPOINTS = "/opt/ml/checkpoints"  # the default of CheckpointConfig.LocalPath
_SCRIPT = INSIDE / "train.py"
#: What SageMaker's PyTorch images set; the package ``sagemaker-pytorch-training`` has it.
_FRAMEWORK = "sagemaker_pytorch_container.training"


def run_training(request: dict[str, Any], context: JobContext) -> dict[str, Any]:
    """Run a training job.

    Args:
        request: of CreateTrainingJob, resolved and valid.
        context: of the job.

    Returns:
        What DescribeTrainingJob answers for the completed job.

    Raises:
        JobFailed: data is missing, the script failed; or it ran longer than MaxRuntimeInSeconds: then the
            job is
            Stopped (MaxRuntimeExceeded), as in the service, and its model so far is in S3.
        JobStopped: ``context.stop`` was set; what the script saved within the grace period is in S3.
    """
    with running("training", request, context) as job:
        algorithm = request["AlgorithmSpecification"]
        if "TrainingImage" not in algorithm:
            raise JobFailed(
                "ClientError: AlgorithmSpecification: expected TrainingImage; algorithms are not offered"
            )
        image = context.images.find(algorithm["TrainingImage"])
        metrics = Metrics(algorithm.get("MetricDefinitions") or [])
        job.log.watch(metrics.read)
        cluster = Cluster.of(job, request["ResourceConfig"].get("InstanceCount", 1))
        job.phase("Downloading", "Downloading input data")
        _fetch_data(job, cluster)
        for machine in cluster.machines:
            _write_configuration(job, cluster, machine)
        job.check_stop()
        job.phase("Training", "Training image download completed. Training in progress.")
        if not (command := algorithm.get("ContainerEntrypoint")):
            command = toolkit_command(image)
            for machine in cluster.machines:
                parameters = request.get("HyperParameters") or {}
                fetch_code(context.client("s3"), image, parameters, machine)
        command = [*command, *(algorithm.get("ContainerArguments") or [])]
        try:
            with _meeting_place(job, len(cluster.machines)):
                status, why = cluster.run(job, command, image, _environment(job, cluster), job.deadline)
        except JobStopped:
            _upload(job, cluster, "Stopping")
            raise
        finally:
            job.record.update(FinalMetricDataList=metrics.final())
            _send_checkpoints(job, cluster)
        if why == "timed out":
            _upload(job, cluster, "Stopping")
            limit = request["StoppingCondition"]["MaxRuntimeInSeconds"]
            job.phase("MaxRuntimeExceeded", f"The job ran longer than {limit} s and was stopped")
            job.record.update(TrainingJobStatus="Stopped")
            raise JobFailed(
                f"ClientError: the job ran longer than its {limit} s (MaxRuntimeExceeded) and was stopped"
            )
        if status:
            raise JobFailed(_failure(cluster, status, command), exit_code=status)
        _upload(job, cluster, "Uploading")
    return job.description


@contextlib.contextmanager
def _meeting_place(job: Job, hosts: int) -> Iterator[None]:
    """Hold the port at which the hosts of a training meet, alone on this machine.

    It is 7777 in SageMaker's images, whichever job and whichever sandbox they are of: a second training on
    several hosts waits until the first has ended.

    Raises:
        JobStopped: the job was stopped meanwhile.
    """
    if hosts == 1:
        yield
        return
    import fcntl  # Windows has none, and may import all but this

    path = Path(tempfile.gettempdir(), f"mlops-sandbox-{os.getuid()}-port-7777")
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        while True:
            job.check_stop()
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            job.context.stop.wait(0.5)
        yield
    finally:
        os.close(descriptor)  # which frees it


def _fetch_data(job: Job, cluster: Cluster) -> None:
    client = job.context.client("s3")
    for channel in job.request.get("InputDataConfig") or []:
        name = channel["ChannelName"]
        source = channel["DataSource"].get("S3DataSource")
        if source is None:
            raise JobFailed(f"ClientError: channel {name}: only S3DataSource is offered by the sandbox")
        if channel.get("InputMode") == "Pipe":
            raise JobFailed(f"ClientError: channel {name}: InputMode: expected File or FastFile, got Pipe")
        for index, machine in enumerate(cluster.machines):
            items = channels.find(client, channels.Source.of(source), host=index, hosts=len(cluster.machines))
            channels.fetch(client, items, machine.ml / "input" / "data" / name)
    for uri, folders in _checkpoints(job, cluster):
        bucket, prefix = s3.split(uri)
        start = f"{prefix.rstrip('/')}/" if prefix else ""
        found = s3.keys(client, f"s3://{bucket}/{start}")
        items = [channels.Item(bucket, key, key.removeprefix(start)) for key in found]
        for folder in folders:
            channels.fetch(client, items, folder)


def _checkpoints(job: Job, cluster: Cluster) -> list[tuple[str, list[Path]]]:
    """Return the URI of the checkpoints with their folder on each host; empty if the job has none."""
    config = job.request.get("CheckpointConfig")
    if not config:
        return []
    folders = [machine.path(config.get("LocalPath", _CHECKPOINTS)) for machine in cluster.machines]
    return [(config["S3Uri"], folders)]


def _send_checkpoints(job: Job, cluster: Cluster) -> None:
    """Upload them however the job ended: the next attempt continues from there."""
    for uri, folders in _checkpoints(job, cluster):
        for folder in folders:
            channels.send(job.context.client("s3"), folder, uri)


def _write_configuration(job: Job, cluster: Cluster, machine: Machine) -> None:
    request, ml = job.request, machine.ml
    for folder in ("input/config", "input/data", "model", "output/data"):
        (ml / folder).mkdir(parents=True, exist_ok=True)
    parameters = {
        key: cluster.paths.rewrite(value, ml) for key, value in (request.get("HyperParameters") or {}).items()
    }
    data = {}
    for channel in request.get("InputDataConfig") or []:
        source = channel["DataSource"]["S3DataSource"]
        data[channel["ChannelName"]] = {
            "TrainingInputMode": "File",
            "S3DistributionType": source.get("S3DataDistributionType", "FullyReplicated"),
            "RecordWrapperType": channel.get("RecordWrapperType", "None"),
        }
        if "ContentType" in channel:
            data[channel["ChannelName"]]["ContentType"] = channel["ContentType"]
    instance_type = request["ResourceConfig"].get("InstanceType", "local")
    documents = {
        "hyperparameters": parameters,
        "inputdataconfig": data,
        "resourceconfig": cluster.resource_config(machine, instance_type),
    }
    if "CheckpointConfig" in request:
        documents["checkpointconfig"] = request["CheckpointConfig"]
    for name, document in documents.items():
        (ml / "input" / "config" / f"{name}.json").write_text(json.dumps(document), "utf-8")


def _environment(job: Job, cluster: Cluster) -> dict[str, str]:
    image = job.request["AlgorithmSpecification"]["TrainingImage"]
    environment = {
        "TRAINING_JOB_NAME": job.context.name,
        "TRAINING_JOB_ARN": job.record.arn,
        "SAGEMAKER_REGION": job.context.region,
        **toolkit_environment(image, job.context.images.find(image)),
    }
    if cluster.paths.unshare is None:
        # Rewritten like every other value, to the folder of the host.
        environment["SAGEMAKER_BASE_DIR"] = "/opt/ml"
    return {**environment, **(job.request.get("Environment") or {})}


def _failure(cluster: Cluster, status: int, command: list[str]) -> str:
    for machine in cluster.machines:
        path = machine.ml / "output" / "failure"
        if path.is_file() and (text := path.read_text("utf-8", "replace").strip()):
            return f"AlgorithmError: {text}, exit code: {status}"
    return f"AlgorithmError: exit code {status}: {' '.join(command)}"


def _upload(job: Job, cluster: Cluster, phase: str) -> None:
    """Write model.tar.gz and, unless it is empty, output.tar.gz; of all hosts the first one's files win."""
    job.phase(phase, "Uploading generated training model")
    client, config = job.context.client("s3"), job.request["OutputDataConfig"]
    prefix = s3.join(config["S3OutputPath"], job.context.name, "output")
    models = [machine.ml / "model" for machine in cluster.machines]
    if config.get("CompressionType") == "NONE":
        uri = s3.join(prefix, "model/")
        for folder in reversed(models):
            channels.send(client, folder, uri)
    else:
        uri = s3.join(prefix, "model.tar.gz")
        archive = job.folder / "model.tar.gz"
        s3.pack(models, archive)
        s3.upload(client, str(archive), uri)
        archive.unlink()
    job.record.update(ModelArtifacts={"S3ModelArtifacts": uri})
    archive = job.folder / "output.tar.gz"
    if s3.pack([machine.ml / "output" / "data" for machine in cluster.machines], archive):
        s3.upload(client, str(archive), s3.join(prefix, "output.tar.gz"))
    archive.unlink()


class Metrics:
    """The last value of each metric of an AlgorithmSpecification."""

    def __init__(self, definitions: list[dict[str, str]]) -> None:
        self._patterns: list[tuple[str, re.Pattern[str]]] = []
        self._values: dict[str, tuple[float, datetime]] = {}
        for definition in definitions:
            try:
                pattern = re.compile(definition["Regex"])
            except re.error as error:
                name = definition["Name"]
                raise JobFailed(
                    f"ClientError: MetricDefinitions: {name}: not a regular expression: {error}"
                ) from None
            self._patterns.append((definition["Name"], pattern))

    def read(self, line: str) -> None:
        """Look for every metric in a line; the first group of a match is the value."""
        for name, pattern in self._patterns:
            for match in pattern.finditer(line):
                try:
                    self._values[name] = (float(match[1] if pattern.groups else match[0]), now())
                except (ValueError, TypeError):
                    continue

    def final(self) -> list[dict[str, Any]]:
        """Return FinalMetricDataList."""
        return [
            {"MetricName": name, "Value": value, "Timestamp": moment}
            for name, (value, moment) in self._values.items()
        ]


def toolkit_command(image: Image) -> list[str]:
    """Return the command that stands for an image's own entry point."""
    real = image.python.with_name("train")
    return [str(real)] if real.is_file() else [str(image.python), str(_SCRIPT)]


def fetch_code(client: Any, image: Image, parameters: Mapping[str, str], machine: Machine) -> None:
    """Unpack the archive that ``sagemaker_submit_directory`` names, unless the real toolkit will do it.

    Raises:
        JobFailed: the archive cannot be read, or is not one.
    """
    code = machine.ml / "code"
    code.mkdir(exist_ok=True)
    uri = _text(parameters.get("sagemaker_submit_directory", ""))
    if toolkit_command(image)[-1] != str(_SCRIPT) or not uri.startswith("s3://"):
        return
    archive = machine.folder / "source.tar.gz"
    s3.download(client, *s3.split(uri), str(archive))
    s3.unpack(archive, code, uri)
    archive.unlink()


def _text(value: str) -> str:
    """Read a hyperparameter that may be a JSON string, as SDK v2 writes them."""
    return value.strip('"')


def toolkit_environment(image_uri: str, image: Image) -> dict[str, str]:
    """Return the variables that the image would set for its toolkit."""
    if "pytorch" in image_uri and image.python.with_name("train").is_file() and _has_framework(image.python):
        return {"SAGEMAKER_TRAINING_MODULE": f"{_FRAMEWORK}:main"}
    return {}


@functools.cache
def _has_framework(python: Path) -> bool:
    probe = f"import importlib.util as u; u.find_spec({_FRAMEWORK.split('.')[0]!r}) or exit(1)"
    return subprocess.run([python, "-c", probe], capture_output=True, check=False).returncode == 0
