"""Batch transform: every object under a prefix goes through the model's servers, the answers to ``KEY.out``.

Each of TransformResources.InstanceCount instances is a server of its own, and an object is answered by one
of them: SageMaker shares out objects, not lines.

An object comes from S3 into a file, is cut into requests while it is read, and its answers go into a file
in their order, so that memory holds a few requests and no more, however large the object is.
"""

from __future__ import annotations

import contextlib
import tempfile
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from concurrent.futures import TimeoutError as NotYet
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from mlops_workbench.sandbox.containers.context import JobContext
from mlops_workbench.sandbox.errors import JobFailed, JobStopped
from mlops_workbench.sandbox.services.sagemaker import s3
from mlops_workbench.sandbox.services.sagemaker.jobs import channels, transform_records, transform_rules
from mlops_workbench.sandbox.services.sagemaker.jobs.running import Job, running
from mlops_workbench.sandbox.services.sagemaker.jobs.transform_records import DataProcessing
from mlops_workbench.sandbox.services.sagemaker.serving import Container, ModelServer, fleet

_TIMEOUT, _RETRIES = 600, 3  # the defaults of ModelClientConfig
_LOOK_EVERY = 0.1  # seconds between looks at whether the job is to end, while an answer is waited for
_TELL_EVERY = 10.0  # seconds between lines about an object in the job's log


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


class ServerEnded(JobFailed):
    """The server's process is gone, so that no further object can be answered."""


@dataclass(frozen=True)
class Plan:
    """What the instances of a job share.

    Attributes:
        client: of S3.
        processing: None if records and answers stay as they are.
        ending: set when the job has failed as a whole.
    """

    job: Job
    client: Any
    processing: DataProcessing | None
    ending: threading.Event = field(default_factory=threading.Event)

    @classmethod
    def of(cls, job: Job) -> Plan:
        """Read a valid request."""
        return cls(job, job.context.client("s3"), DataProcessing.of(job.request))

    def check_stop(self) -> None:
        """Raise JobStopped when the job is to end, or has failed already."""
        self.job.check_stop()
        if self.ending.is_set():
            raise JobStopped(f"{self.job.context.name} has failed")


class Instance:
    """One server. It is asked side by side, also about different objects where an object is one request."""

    def __init__(self, plan: Plan, server: ModelServer, pool: ThreadPoolExecutor, workers: int) -> None:
        """Take a server, and a pool of as many threads as there may be requests at a time."""
        self._plan = plan
        self._server = server
        self._pool = pool
        # As many again wait for their turn, or to be written, so that no thread is idle.
        self._ahead = 2 * workers
        self._asked: deque[tuple[_Output, int, Future[bytes] | None]] = deque()

    def answer(self, items: list[channels.Item]) -> list[JobFailed]:
        """Answer objects; returns why some of them could not be.

        Raises:
            ServerEnded: by itself.
            JobStopped: the job is to end.
        """
        outputs: list[_Output] = []
        try:
            for item in items:
                self._plan.check_stop()
                outputs.append(_Output(self._plan, item))
                self._ask(outputs[-1])
            while self._asked:
                self._settle()
        finally:
            for output in outputs:
                output.discard()
        return [output.failure for output in outputs if output.failure is not None]

    def _ask(self, output: _Output) -> None:
        """Send the requests for one object, settling earlier ones where too many are under way."""
        try:
            with _opened(self._plan, output.item) as requests:
                for request in requests:
                    while len(self._asked) >= self._ahead:
                        self._settle()
                    if output.failure is not None:
                        break
                    future = self._pool.submit(self._answered, output.item.key, request)
                    self._asked.append((output, len(request.records), future))
        except ServerEnded:
            raise
        except JobFailed as failure:
            output.fail(failure)
        self._asked.append((output, 0, None))

    def _settle(self) -> None:
        """Write the answer that was asked for first, or send the object to S3 that is complete."""
        output, count, future = self._asked.popleft()
        if future is None:
            output.send()
        elif output.failure is not None:
            future.cancel()
        else:
            try:
                output.write(self._wait(future), count)
            except ServerEnded:
                raise
            except JobFailed as failure:
                output.fail(failure)

    def _wait(self, future: Future[bytes]) -> bytes:
        while True:
            self._plan.check_stop()
            try:
                return future.result(_LOOK_EVERY)
            except NotYet:
                if future.done():  # a TimeoutError of the work itself
                    raise

    def _answered(self, name: str, request: transform_records.Request) -> bytes:
        """Return what is written for a request; runs in a thread of the pool."""

        def invoke(body: bytes) -> bytes:
            return self._invoke(name, request, body)

        if self._plan.processing is None:
            return invoke(request.body())
        return self._plan.processing.answer(name, request, invoke)

    def _invoke(self, name: str, request: transform_records.Request, body: bytes) -> bytes:
        """Send a request, again after a server's fault or a time-out; a refusal ends the object."""
        given = self._plan.job.request
        config = given.get("ModelClientConfig") or {}
        timeout = config.get("InvocationsTimeoutInSeconds", _TIMEOUT)
        said = f"ClientError: {name}: bad HTTP response received from the model for {request.where}"
        problem = ""
        for _ in range(1 + config.get("InvocationsMaxRetries", _RETRIES)):
            self._plan.check_stop()
            try:
                answer = self._server.invoke(
                    body,
                    given["TransformInput"].get("ContentType", ""),
                    given["TransformOutput"].get("Accept", "*/*"),
                    timeout,
                )
            except OSError as error:
                problem = str(error)
                time.sleep(_LOOK_EVERY)  # a process that is ending has closed its port already
                if (status := self._server.process.poll()) is not None:
                    self._plan.check_stop()
                    ended = f"the model server ended with exit code {status}"
                    raise ServerEnded(f"{said}: {ended}", exit_code=status) from None
                continue
            if answer.status == 200:
                return answer.body
            problem = f"{answer.status}: {answer.body[:500].decode('utf-8', 'replace')}"
            if answer.status < 500:
                break
        raise JobFailed(f"{said}: {problem}")


@contextmanager
def _opened(plan: Plan, item: channels.Item) -> Iterator[Iterator[transform_records.Request]]:
    """Fetch an object; the block gets its requests, cut as they are taken."""
    taken = plan.job.request["TransformInput"]
    with tempfile.NamedTemporaryFile(dir=plan.job.folder, prefix="in-") as fetched:
        s3.download(plan.client, item.bucket, item.key, fetched.name)
        compression = taken.get("CompressionType") or "None"
        with transform_records.opened(Path(fetched.name), compression=compression, name=item.key) as file:
            yield transform_records.requests(
                file,
                split=taken.get("SplitType") or "None",
                strategy=plan.job.request.get("BatchStrategy") or "MultiRecord",
                max_payload_mb=transform_rules.payload(plan.job.request),
                name=item.key,
            )


class _Output:
    """The answers of one object: in a file until all are there, then in S3."""

    def __init__(self, plan: Plan, item: channels.Item) -> None:
        self.item = item
        self.failure: JobFailed | None = None
        self._plan = plan
        self._given = plan.job.request["TransformOutput"]
        self._file = tempfile.NamedTemporaryFile(dir=plan.job.folder, prefix="out-")  # noqa: SIM115
        self._records = 0
        self._began = self._told = time.monotonic()

    def write(self, answered: bytes, count: int) -> None:
        """Append the answer for ``count`` records: as it is, or on lines of its own."""
        self._file.write(answered)
        if self._given.get("AssembleWith") == "Line" and not answered.endswith(b"\n"):
            self._file.write(b"\n")
        self._records += count
        if (now := time.monotonic()) - self._told >= _TELL_EVERY:
            self._told = now
            rate = self._records / (now - self._began)
            self._plan.job.log.line(
                f"{self.item.key}: {self._records} records answered, {rate:.0f} records/s"
            )

    def fail(self, failure: JobFailed) -> None:
        """Give the object up; nothing of it will be in S3."""
        self.failure = failure
        self._plan.job.log.line(failure.reason)
        self.discard()

    def send(self) -> None:
        """Put the answers into S3, unless the object was given up."""
        if self.failure is None:
            self._file.flush()
            uri = s3.join(self._given["S3OutputPath"], f"{self.item.path}.out")
            try:
                s3.upload(self._plan.client, self._file.name, uri, self._given.get("KmsKeyId") or None)
            except JobFailed as failure:
                self.fail(failure)
        self.discard()

    def discard(self) -> None:
        """Remove the file; may be called again."""
        self._file.close()
