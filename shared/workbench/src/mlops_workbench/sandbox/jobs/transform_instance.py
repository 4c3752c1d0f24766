"""One instance of a transform job: a server, and the objects that it answers.

An object comes from S3 into a file, is cut into requests while it is read, and its answers go into a file in
their order, so that memory holds a few requests and no more, however large the object is.
"""

from __future__ import annotations

import tempfile
import threading
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotYet
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mlops_workbench.sandbox.errors import JobFailed, JobStopped
from mlops_workbench.sandbox.jobs import channels, records, s3, transform_rules
from mlops_workbench.sandbox.jobs.joins import DataProcessing
from mlops_workbench.sandbox.jobs.lifecycle import Job
from mlops_workbench.sandbox.jobs.serving import ModelServer

_TIMEOUT, _RETRIES = 600, 3  # the defaults of ModelClientConfig
_LOOK_EVERY = 0.1  # seconds between looks at whether the job is to end, while an answer is waited for
_TELL_EVERY = 10.0  # seconds between lines about an object in the job's log


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

    def _answered(self, name: str, request: records.Request) -> bytes:
        """Return what is written for a request; runs in a thread of the pool."""

        def invoke(body: bytes) -> bytes:
            return self._invoke(name, request, body)

        if self._plan.processing is None:
            return invoke(request.body())
        return self._plan.processing.answer(name, request, invoke)

    def _invoke(self, name: str, request: records.Request, body: bytes) -> bytes:
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
def _opened(plan: Plan, item: channels.Item) -> Iterator[Iterator[records.Request]]:
    """Fetch an object; the block gets its requests, cut as they are taken."""
    taken = plan.job.request["TransformInput"]
    with tempfile.NamedTemporaryFile(dir=plan.job.folder, prefix="in-") as fetched:
        s3.download(plan.client, item.bucket, item.key, fetched.name)
        compression = taken.get("CompressionType") or "None"
        with records.opened(Path(fetched.name), compression=compression, name=item.key) as file:
            yield records.requests(
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
