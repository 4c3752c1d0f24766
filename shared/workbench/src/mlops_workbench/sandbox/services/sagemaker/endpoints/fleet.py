"""What serves behind every endpoint of the open sandbox: its pool of instances, and the threads that keep it.

The state knows endpoints (``records.Endpoint``); this knows their processes. An endpoint of a restored
state gets its pool with its first request.

What an endpoint tells CloudWatch is [read] in the Amazon SageMaker developer guide, "Alarms and logs for
tracking metrics from serverless endpoints", whose list is exhaustive (InvocationModelErrors is not on it),
and "Monitor Amazon SageMaker AI with Amazon CloudWatch". A request that is throttled reaches no model, so
none of the counts has it: ServerlessConcurrentExecutionsUtilization, a fraction of MaxConcurrency, is 1
then.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from moto.cloudwatch.models import cloudwatch_backends
from moto.core.utils import utcnow

from mlops_workbench.sandbox.errors import JobStopped
from mlops_workbench.sandbox.gate import STATE
from mlops_workbench.sandbox.services.sagemaker.endpoints.instance import Instance, StartFailed
from mlops_workbench.sandbox.services.sagemaker.endpoints.pool import Ended, Pool
from mlops_workbench.sandbox.services.sagemaker.endpoints.records import Deployment, Endpoint, idle_seconds
from mlops_workbench.sandbox.session import current

logger = logging.getLogger("mlops_workbench.sandbox.services.sagemaker.endpoints")

_TICK = 0.5  # seconds
_AFTER_FAILURE = 30.0  # seconds
_TELL_MEMORY = 60.0  # seconds; "Metrics are available at a 1-minute frequency"
NAMESPACE, INSTANCES = "AWS/SageMaker", "/aws/sagemaker/Endpoints"
_MICROSECONDS = 1_000_000


@dataclass(frozen=True)
class Serving:
    """What serves an endpoint now."""

    endpoint: Endpoint
    deployment: Deployment
    pool: Pool[Instance]


class Fleet:
    """The pools of an open sandbox."""

    def __init__(self) -> None:
        self._sandbox = current()
        self._serving: dict[str, Serving] = {}
        self._draining: list[Pool[Instance]] = []
        self._lock = threading.Lock()
        self._threads: set[threading.Thread] = set()
        self._filling: set[str] = set()
        self.stopping = threading.Event()
        self.begin("endpoints", self._keep)

    def begin(self, name: str, work: Callable[[], None]) -> None:
        """Run something in a thread until it ends or the sandbox closes."""

        def run() -> None:
            try:
                work()
            except (JobStopped, Ended):
                pass  # the sandbox is closing; the state says what is left to be done
            except Exception:
                logger.exception("%s failed", name)
            finally:
                with self._lock:
                    self._threads.discard(threading.current_thread())

        thread = threading.Thread(target=run, name=name, daemon=True)
        with self._lock:
            if not self.stopping.is_set():
                self._threads.add(thread)
                thread.start()

    def new(self, endpoint: Endpoint, deployment: Deployment) -> Serving:
        """Return a pool without an instance; it serves once it is put in place by ``switch``."""

        def start() -> Instance:
            home = endpoint.folder(self._sandbox.folder)
            return Instance(endpoint, deployment, home, self._sandbox.images, self.stopping).start()

        pool = Pool(start, limit=deployment.max_concurrency, cap=deployment.cap, minimum=deployment.minimum)
        return Serving(endpoint, deployment, pool)

    def admit(self, endpoint: Endpoint) -> tuple[Serving, int]:
        """Count a request in at what serves the endpoint; returns how many there are with it.

        The pool that has counted a request in serves it, whatever becomes of the endpoint meanwhile.

        Raises:
            Throttled: there are as many as MaxConcurrency.
            LookupError: nothing serves the endpoint.
        """
        with self._lock:
            serving = self._at(endpoint)
            return serving, serving.pool.reserve()

    def serving(self, endpoint: Endpoint) -> Serving | None:
        """Return what serves the endpoint; None before the first deployment has become ready."""
        with self._lock, contextlib.suppress(LookupError):
            return self._at(endpoint)
        return None

    def switch(self, serving: Serving) -> Serving | None:
        """Let something serve its endpoint from now on, and return what did before."""
        with self._lock:
            before = self._serving.get(serving.endpoint.arn)
            self._serving[serving.endpoint.arn] = serving
            if before and before.pool is not serving.pool:
                self._draining.append(before.pool)
                return before
        return None

    def remove(self, endpoint: Endpoint) -> Serving | None:
        """Let nothing serve an endpoint any more, and return what did."""
        with self._lock:
            before = self._serving.pop(endpoint.arn, None)
            if before:
                self._draining.append(before.pool)
        return before

    def drain(self, serving: Serving) -> None:
        """Wait until what no longer serves has answered what it has, and end it."""
        serving.pool.drain()
        with self._lock:
            self._draining = [pool for pool in self._draining if pool is not serving.pool]

    def stop(self) -> None:
        """End every process and wait for the threads."""
        with self._lock:
            self.stopping.set()
            threads = list(self._threads)
        self._end_pools()
        for thread in threads:
            thread.join()
        # What a thread has put in place meanwhile.
        self._end_pools()

    def _end_pools(self) -> None:
        with self._lock:
            pools = [*(each.pool for each in self._serving.values()), *self._draining]
        for pool in pools:
            pool.end()

    def _at(self, endpoint: Endpoint) -> Serving:
        found = self._serving.get(endpoint.arn)
        if found is None and endpoint.current is not None and not self.stopping.is_set():
            found = self._serving[endpoint.arn] = self.new(endpoint, endpoint.current)
        if found is None:
            raise LookupError(endpoint.arn)
        return found

    def _keep(self) -> None:
        """End what is idle, start what is provisioned, write logs, tell of memory."""
        while not self.stopping.wait(_TICK):
            with self._lock:
                current = list(self._serving.values())
            for serving in current:
                serving.pool.rest(idle_seconds())
                for instance in serving.pool.workers:
                    instance.stream.flush()
                    tell_memory(serving, instance, every=_TELL_MEMORY)
                if len(serving.pool.workers) < serving.deployment.minimum:
                    self._fill(serving)

    def _fill(self, serving: Serving) -> None:
        """Start what is provisioned and not there, in a thread; after a failure not again for a while."""
        arn = serving.endpoint.arn

        def work() -> None:
            try:
                serving.pool.fill()
            except StartFailed as error:
                logger.error("%s: %s", serving.endpoint.name, error)
                self.stopping.wait(_AFTER_FAILURE)
            finally:
                self._filling.discard(arn)

        if arn not in self._filling:
            self._filling.add(arn)
            self.begin(f"provisioned concurrency of {serving.endpoint.name}", work)


def tell_memory(serving: Serving, instance: Instance, *, every: float) -> None:
    """Tell CloudWatch of an instance's memory, unless that was done in the last ``every`` seconds."""
    now = time.monotonic()
    if now - instance.told_memory >= every and instance.alive():
        instance.told_memory = now
        memory(serving.endpoint, serving.deployment, instance.memory_utilization())


@dataclass(frozen=True)
class Invocation:
    """One request that reached the model.

    Attributes:
        status: the model's HTTP status; None when it did not answer.
        model_seconds: that the model took.
        overhead_seconds: that everything else took, the start of an instance included.
        setup_seconds: that the start of an instance took; 0: there was one.
        concurrent: requests that were being served, this one included.
    """

    status: int | None
    model_seconds: float
    overhead_seconds: float
    setup_seconds: float
    concurrent: int


def invoked(endpoint: Endpoint, deployment: Deployment, invocation: Invocation) -> None:
    """Tell of a request that reached the model."""
    status = invocation.status or 500
    values: list[tuple[str, float, str]] = [
        ("Invocations", 1, "None"),
        ("Invocation4XXErrors", float(400 <= status < 500), "None"),
        ("Invocation5XXErrors", float(status >= 500), "None"),
        ("ModelLatency", invocation.model_seconds * _MICROSECONDS, "Microseconds"),
        ("OverheadLatency", invocation.overhead_seconds * _MICROSECONDS, "Microseconds"),
        _utilization(invocation.concurrent, deployment),
    ]
    if invocation.setup_seconds:
        values.append(("ModelSetupTime", invocation.setup_seconds * _MICROSECONDS, "Microseconds"))
    if deployment.provisioned:
        within = invocation.concurrent <= deployment.provisioned
        share = invocation.concurrent / deployment.provisioned
        values += [
            ("ServerlessProvisionedConcurrencyExecutions", float(invocation.concurrent), "Count"),
            ("ServerlessProvisionedConcurrencyUtilization", share, "None"),
            ("ServerlessProvisionedConcurrencyInvocations", float(within), "Count"),
            ("ServerlessProvisionedConcurrencySpilloverInvocations", float(not within), "Count"),
        ]
    _put(endpoint, deployment, NAMESPACE, values)


def throttled(endpoint: Endpoint, deployment: Deployment) -> None:
    """Tell of a request that was one too many."""
    _put(endpoint, deployment, NAMESPACE, [_utilization(deployment.max_concurrency, deployment)])


def memory(endpoint: Endpoint, deployment: Deployment, percent: float) -> None:
    """Tell how much of its memory an instance uses."""
    _put(endpoint, deployment, INSTANCES, [("MemoryUtilization", percent, "Percent")])


def _utilization(concurrent: int, deployment: Deployment) -> tuple[str, float, str]:
    return "ServerlessConcurrentExecutionsUtilization", concurrent / deployment.max_concurrency, "None"


def _put(
    endpoint: Endpoint, deployment: Deployment, namespace: str, values: list[tuple[str, float, str]]
) -> None:
    moment = utcnow()
    dimensions = [
        {"Name": "EndpointName", "Value": endpoint.name},
        {"Name": "VariantName", "Value": deployment.variant},
    ]
    data: list[dict[str, Any]] = [
        {"MetricName": name, "Value": value, "Unit": unit, "Dimensions": dimensions, "Timestamp": moment}
        for name, value, unit in values
    ]
    with STATE.changing():
        cloudwatch_backends[endpoint.account][endpoint.region].put_metric_data(namespace, data)
