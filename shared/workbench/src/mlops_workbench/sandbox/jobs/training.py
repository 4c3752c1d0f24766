"""Training jobs: channels and hyperparameters in, checkpoints, a model and metrics out.

The contract is [read] in AWS's "Run Your Training Container": /opt/ml/input/config/*.json, a folder for
each channel below /opt/ml/input/data, the command ``train``, and what is left in /opt/ml/model,
/opt/ml/output/data and /opt/ml/output/failure.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from mlops_workbench.sandbox.errors import JobFailed, JobStopped
from mlops_workbench.sandbox.jobs import archives, channels, s3, toolkit
from mlops_workbench.sandbox.jobs.context import JobContext
from mlops_workbench.sandbox.jobs.hosts import Cluster, Machine
from mlops_workbench.sandbox.jobs.lifecycle import Job, running
from mlops_workbench.sandbox.jobs.metrics import Metrics

_CHECKPOINTS = "/opt/ml/checkpoints"  # the default of CheckpointConfig.LocalPath


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
            command = toolkit.command(image)
            for machine in cluster.machines:
                parameters = request.get("HyperParameters") or {}
                toolkit.fetch_code(context.client("s3"), image, parameters, machine)
        command = [*command, *(algorithm.get("ContainerArguments") or [])]
        try:
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
        **toolkit.environment(image, job.context.images.find(image)),
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
        archives.pack(models, archive)
        s3.upload(client, str(archive), uri)
        archive.unlink()
    job.record.update(ModelArtifacts={"S3ModelArtifacts": uri})
    archive = job.folder / "output.tar.gz"
    if archives.pack([machine.ml / "output" / "data" for machine in cluster.machines], archive):
        s3.upload(client, str(archive), s3.join(prefix, "output.tar.gz"))
    archive.unlink()
