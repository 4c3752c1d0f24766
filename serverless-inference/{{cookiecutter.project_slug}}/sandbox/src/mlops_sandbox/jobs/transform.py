"""Batch transform: every object under a prefix goes through the model's server, the answers to ``KEY.out``.

Requests run side by side up to MaxConcurrentTransforms. One server, whatever
TransformResources.InstanceCount says: its figure changes the time that a transform takes and nothing of its
result.
"""

from __future__ import annotations

import gzip
import tempfile
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from botocore.exceptions import ClientError

from mlops_sandbox.jobs import channels, records, s3
from mlops_sandbox.jobs.context import JobContext
from mlops_sandbox.jobs.errors import JobFailed
from mlops_sandbox.jobs.lifecycle import Job, running
from mlops_sandbox.jobs.serving import Container, ModelServer, serving

_MAX_PAYLOAD = 6  # MB: the default of MaxPayloadInMB
_TIMEOUT, _RETRIES = 600, 3  # the defaults of ModelClientConfig
#: What DataProcessing's fields mean when they change nothing.
_NEUTRAL = {"InputFilter": "$", "OutputFilter": "$", "JoinSource": "None"}


def run_transform(request: dict[str, Any], context: JobContext) -> dict[str, Any]:
    """Run a transform job.

    Args:
        request: of CreateTransformJob, resolved and valid.
        context: of the job.

    Returns:
        What DescribeTransformJob answers for the completed job.

    Raises:
        JobFailed: no data, no such model, a server that does not start, or a request that it refused. The
            outputs
            of the files before that one are in S3.
        JobStopped: ``context.stop`` was set.
    """
    with running("transform", request, context) as job:
        for key, value in (request.get("DataProcessing") or {}).items():
            if value != _NEUTRAL[key]:
                expected = f"expected {_NEUTRAL[key]!r} in the sandbox, got {value!r}"
                raise JobFailed(f"ClientError: DataProcessing.{key}: {expected}")
        container = _container(job, request["ModelName"])
        source = request["TransformInput"]["DataSource"]["S3DataSource"]
        client = context.client("s3")
        items = channels.find(client, channels.Source.of(source))
        with serving(job, container) as server, _pool(request) as pool:
            for item in items:
                job.check_stop()
                data = _transform(job, server, pool, item)
                with tempfile.NamedTemporaryFile(dir=job.folder) as file:
                    file.write(data)
                    file.flush()
                    uri = s3.join(request["TransformOutput"]["S3OutputPath"], f"{item.path}.out")
                    s3.upload(client, file.name, uri)
    return job.description


def _pool(request: dict[str, Any]) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max_workers=request.get("MaxConcurrentTransforms") or 1)


def _transform(job: Job, server: ModelServer, pool: ThreadPoolExecutor, item: channels.Item) -> bytes:
    """Return the output of one file."""
    taken, given = job.request["TransformInput"], job.request["TransformOutput"]
    data = s3.read(job.context.client("s3"), f"s3://{item.bucket}/{item.key}")
    if taken.get("CompressionType") == "Gzip":
        try:
            data = gzip.decompress(data)
        except (OSError, EOFError) as error:
            raise JobFailed(f"ClientError: {item.key}: expected gzip: {error}") from None
    bodies = records.requests(
        data,
        split=taken.get("SplitType", "None"),
        strategy=job.request.get("BatchStrategy", "MultiRecord"),
        max_payload_mb=job.request.get("MaxPayloadInMB", _MAX_PAYLOAD),
        name=item.key,
    )
    answers = pool.map(lambda body: _invoke(job, server, body, item.key), list(bodies))
    return records.assemble(answers, assemble_with=given.get("AssembleWith", "None"))


def _invoke(job: Job, server: ModelServer, body: bytes, name: str) -> bytes:
    """Send one request, again after a server's fault or a time-out; a refusal ends the job."""
    config = job.request.get("ModelClientConfig") or {}
    timeout = config.get("InvocationsTimeoutInSeconds", _TIMEOUT)
    problem = ""
    for _ in range(1 + config.get("InvocationsMaxRetries", _RETRIES)):
        job.check_stop()
        try:
            answer = server.invoke(
                body,
                job.request["TransformInput"].get("ContentType", ""),
                job.request["TransformOutput"].get("Accept", "*/*"),
                timeout,
            )
        except OSError as error:
            problem = str(error)
            continue
        if answer.status == 200:
            return answer.body
        problem = f"{answer.status}: {answer.body[:500].decode('utf-8', 'replace')}"
        if answer.status < 500:
            break
    raise JobFailed(f"ClientError: {name}: bad HTTP response received from the model: {problem}")


def _container(job: Job, model_name: str) -> Container:
    """Find the container of a model, through its model package if it names one."""
    client = job.context.client("sagemaker")
    try:
        model = client.describe_model(ModelName=model_name)
        containers = model.get("Containers") or [model["PrimaryContainer"]]
        if len(containers) > 1:
            raise JobFailed(f"ClientError: model {model_name}: expected one container, got {len(containers)}")
        (container,) = containers
        if package := container.get("ModelPackageName"):
            specification = client.describe_model_package(ModelPackageName=package)["InferenceSpecification"]
            environment = container.get("Environment") or {}
            container = specification["Containers"][0]
            container = {**container, "Environment": {**container.get("Environment", {}), **environment}}
    except ClientError as error:
        raise JobFailed(f"ClientError: model {model_name}: {error}") from None
    environment = {**(container.get("Environment") or {}), **(job.request.get("Environment") or {})}
    return Container(container["Image"], container.get("ModelDataUrl"), environment)
