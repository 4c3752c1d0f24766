"""Processing jobs: inputs below /opt/ml/processing, the container's command, outputs to S3.

The contract is [read] in AWS's "Build Your Own Processing Container": the container gets its inputs as
files, its configuration in /opt/ml/config, may leave a message in /opt/ml/output/message, and its outputs
are uploaded when it exits with 0.
"""

from __future__ import annotations

import json
from typing import Any

from mlops_workbench.sandbox.containers.context import JobContext
from mlops_workbench.sandbox.containers.hosts import Cluster, Machine
from mlops_workbench.sandbox.errors import JobFailed
from mlops_workbench.sandbox.services.sagemaker.jobs import channels
from mlops_workbench.sandbox.services.sagemaker.jobs.running import Job, running

_LONGEST_MESSAGE = 1024  # characters: the shape ExitMessage


def run_processing(request: dict[str, Any], context: JobContext) -> dict[str, Any]:
    """Run a processing job.

    Args:
        request: of CreateProcessingJob, resolved and valid.
        context: of the job.

    Returns:
        What DescribeProcessingJob answers for the completed job.

    Raises:
        JobFailed: an input is missing, the command failed, or it ran out of time.
        JobStopped: ``context.stop`` was set.
    """
    with running("processing", request, context) as job:
        application = request["AppSpecification"]
        image = context.images.find(application["ImageUri"])
        instances = request["ProcessingResources"]["ClusterConfig"]
        cluster = Cluster.of(job, instances.get("InstanceCount", 1))
        _fetch_inputs(job, cluster)
        for machine in cluster.machines:
            _write_configuration(job, cluster, machine, instances["InstanceType"])
            for output in _outputs(request):
                machine.path(output["LocalPath"]).mkdir(parents=True, exist_ok=True)
        job.check_stop()
        command = [*application.get("ContainerEntrypoint", []), *application.get("ContainerArguments", [])]
        if not command:
            raise JobFailed(
                "ClientError: AppSpecification: expected ContainerEntrypoint; images have none here"
            )
        status, why = cluster.run(job, command, image, request.get("Environment") or {}, job.deadline)
        _read_exit_message(job, cluster)
        if why == "timed out":
            limit = request["StoppingCondition"]["MaxRuntimeInSeconds"]
            raise JobFailed(f"ClientError: the job ran longer than its {limit} s (MaxRuntimeInSeconds)")
        if status:
            message = job.description.get("ExitMessage")
            reason = f"AlgorithmError: exit code {status}: {message or ' '.join(command)}"
            raise JobFailed(reason, exit_code=status)
        client = context.client("s3")
        for output in _outputs(request):
            for machine in cluster.machines:
                channels.send(client, machine.path(output["LocalPath"]), output["S3Uri"])
    return job.description


def _fetch_inputs(job: Job, cluster: Cluster) -> None:
    client = job.context.client("s3")
    for entry in job.request.get("ProcessingInputs") or []:
        if "S3Input" not in entry:
            raise JobFailed(
                f"ClientError: input {entry['InputName']}: only S3Input is offered by the sandbox"
            )
        source = channels.Source.of(entry["S3Input"])
        for index, machine in enumerate(cluster.machines):
            items = channels.find(client, source, host=index, hosts=len(cluster.machines))
            channels.fetch(client, items, machine.path(entry["S3Input"]["LocalPath"]))


def _outputs(request: dict[str, Any]) -> list[dict[str, Any]]:
    outputs = (request.get("ProcessingOutputConfig") or {}).get("Outputs", [])
    for output in outputs:
        if "S3Output" not in output:
            raise JobFailed(
                f"ClientError: output {output['OutputName']}: only S3Output is offered by the sandbox"
            )
    return [output["S3Output"] for output in outputs]


def _write_configuration(job: Job, cluster: Cluster, machine: Machine, instance_type: str) -> None:
    folder = machine.ml / "config"
    folder.mkdir(parents=True, exist_ok=True)
    (machine.ml / "output").mkdir(exist_ok=True)
    configuration = {
        **job.request,
        "ProcessingJobName": job.context.name,
        "ProcessingJobArn": job.record.arn,
    }
    (folder / "processingjobconfig.json").write_text(json.dumps(configuration, default=str), "utf-8")
    resources = cluster.resource_config(machine, instance_type)
    (folder / "resourceconfig.json").write_text(json.dumps(resources), "utf-8")


def _read_exit_message(job: Job, cluster: Cluster) -> None:
    for machine in cluster.machines:
        path = machine.ml / "output" / "message"
        if path.is_file():
            text = path.read_text("utf-8", "replace").strip()
            if text:
                job.record.update(ExitMessage=text[:_LONGEST_MESSAGE])
                return
