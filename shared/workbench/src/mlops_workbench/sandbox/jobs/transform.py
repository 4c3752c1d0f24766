"""Batch transform: every object under a prefix goes through the model's servers, the answers to ``KEY.out``.

Each of TransformResources.InstanceCount instances is a server of its own, and an object is answered by one
of them: SageMaker shares out objects, not lines. What an instance does is in ``transform_instance``.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from typing import Any

from botocore.exceptions import ClientError

from mlops_workbench.sandbox.errors import JobFailed
from mlops_workbench.sandbox.jobs import channels, transform_rules
from mlops_workbench.sandbox.jobs.context import JobContext
from mlops_workbench.sandbox.jobs.lifecycle import Job, running
from mlops_workbench.sandbox.jobs.serving import Container, ModelServer, fleet
from mlops_workbench.sandbox.jobs.transform_instance import Instance, Plan


def run_transform(request: dict[str, Any], context: JobContext) -> dict[str, Any]:
    """Run a transform job.

    Args:
        request: of CreateTransformJob, resolved and valid.
        context: of the job.

    Returns:
        What DescribeTransformJob answers for the completed job.

    Raises:
        JobFailed: no data, no such model, a server that does not start or that ends, or an object that cannot
            be answered as a whole. As on SageMaker the other objects are answered all the same, and of the
            failing one nothing is in S3.
        JobStopped: ``context.stop`` was set.
    """
    with running("transform", request, context) as job:
        if problems := transform_rules.problems(request):
            raise JobFailed(f"ClientError: {'; '.join(problems)}")
        container = _container(job, request["ModelName"])
        plan = Plan.of(job)
        source = channels.Source.of(request["TransformInput"]["DataSource"]["S3DataSource"])
        items = channels.find(plan.client, source)
        # An instance that would get no object is not started here.
        count = min(request["TransformResources"].get("InstanceCount") or 1, len(items))
        _tell_settings(job, count)
        with contextlib.ExitStack() as stack:
            drivers = stack.enter_context(_pool(count))
            pools = [stack.enter_context(_pool(transform_rules.concurrency(request))) for _ in range(count)]
            # Ended first, so that no thread waits for an answer that nobody wants any more.
            servers = stack.enter_context(fleet(job, container, count))
            failures = _answer(plan, drivers, pools, servers, items)
        if failures:
            _fail(failures, len(items))
    return job.description


def _answer(
    plan: Plan,
    drivers: ThreadPoolExecutor,
    pools: list[ThreadPoolExecutor],
    servers: list[ModelServer],
    items: list[channels.Item],
) -> list[JobFailed]:
    """Answer all objects; returns why some of them could not be."""
    count = len(servers)
    driven = []
    try:
        for number, (server, pool) in enumerate(zip(servers, pools, strict=True)):
            instance = Instance(plan, server, pool, transform_rules.concurrency(plan.job.request))
            driven.append(drivers.submit(instance.answer, items[number::count]))
        done, _ = wait(driven, return_when=FIRST_EXCEPTION)
        for each in done:
            if error := each.exception():
                raise error
        return [failure for each in driven for failure in each.result()]
    except BaseException:
        plan.ending.set()
        raise


def _fail(failures: list[JobFailed], count: int) -> None:
    """Raise the first failure, with how many objects share its fate."""
    first, *others = failures
    if not others:
        raise first
    raise JobFailed(f"{first.reason} ({len(failures)} of {count} objects failed; see the log)")


def _tell_settings(job: Job, count: int) -> None:
    """Log what SageMaker logs first, and on how many instances."""
    single = job.request.get("BatchStrategy") == "SingleRecord"
    settings = {
        "MaxConcurrentTransforms": transform_rules.concurrency(job.request),
        "MaxPayloadInMB": transform_rules.payload(job.request),
        "BatchStrategy": "SINGLE_RECORD" if single else "MULTI_RECORD",
        "instances": count,
    }
    job.log.line(", ".join(f"{key}={value}" for key, value in settings.items()))


def _told(request: Mapping[str, Any]) -> dict[str, str]:
    """Return what SageMaker tells a container ([read] "Use Your Own Inference Code with Batch Transform")."""
    strategy = {"SingleRecord": "SINGLE_RECORD", "MultiRecord": "MULTI_RECORD"}
    told = {
        "SAGEMAKER_BATCH": "true",
        "SAGEMAKER_MAX_PAYLOAD_IN_MB": request.get("MaxPayloadInMB"),
        "SAGEMAKER_BATCH_STRATEGY": strategy.get(request.get("BatchStrategy") or ""),
        "SAGEMAKER_MAX_CONCURRENT_TRANSFORMS": request.get("MaxConcurrentTransforms"),
    }
    # Those that the request does not set are not passed.
    return {key: str(value) for key, value in told.items() if value is not None}


@contextlib.contextmanager
def _pool(size: int) -> Iterator[ThreadPoolExecutor]:
    """Threads; what has not begun at the end of the block never does."""
    pool = ThreadPoolExecutor(max_workers=size)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


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
    environment = {
        **(container.get("Environment") or {}),
        **(job.request.get("Environment") or {}),
        **_told(job.request),
    }
    return Container(container["Image"], container.get("ModelDataUrl"), environment)
