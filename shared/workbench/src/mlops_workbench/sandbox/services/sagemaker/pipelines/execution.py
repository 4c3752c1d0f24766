"""Running one execution: a thread that schedules, and a thread for each running step.

The rules are the service's: independent steps run side by side, up to ParallelismConfiguration; after a
failure the running steps finish and no other starts; a stop reaches the running steps. Expressions get
their values as the steps that they name end.
"""

from __future__ import annotations

import contextlib
import copy
import logging
import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from mlops_workbench.sandbox.errors import suggest
from mlops_workbench.sandbox.services.sagemaker.pipelines import policies, s3
from mlops_workbench.sandbox.services.sagemaker.pipelines.expressions import lookup, resolve
from mlops_workbench.sandbox.services.sagemaker.pipelines.graph import Schedule
from mlops_workbench.sandbox.services.sagemaker.pipelines.journal import (
    UNFINISHED,
    ExecutionRecord,
    Journal,
    StepRecord,
)
from mlops_workbench.sandbox.services.sagemaker.pipelines.model import (
    Definition,
    ExpressionError,
    RetryPolicy,
    Scalar,
    Step,
    StepFailed,
    StepStopped,
)
from mlops_workbench.sandbox.services.sagemaker.pipelines.requests import JOB_VARIABLES, build, job_name
from mlops_workbench.sandbox.services.sagemaker.pipelines.shapes import OPERATIONS, request_problems
from mlops_workbench.sandbox.services.sagemaker.pipelines.steps import RUNNERS, Call, Outcome, World

#: Characters (botocore: FailureReason of a step, PipelineExecutionFailureReason).
MAX_STEP_REASON = 1024
MAX_EXECUTION_REASON = 1300

logger = logging.getLogger("mlops_workbench.sandbox.services.sagemaker.pipelines")


def timestamp(seconds: float) -> str:
    """Return a time as the service writes it into an execution variable, e.g. 2026-01-31T09:30:00.000Z."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


class RunScope:
    """A ``Scope`` over what an execution knows by now."""

    def __init__(
        self,
        definition: Definition,
        parameters: Mapping[str, Scalar],
        variables: Mapping[str, str],
        properties: Mapping[str, Mapping[str, Any]],
        read_json: Callable[[str], Any],
    ) -> None:
        """Prepare a scope.

        Args:
            definition: declares the property files.
            parameters: every parameter's value.
            variables: execution variables, the step's own job name included.
            properties: of the steps that have succeeded.
            read_json: returns a JSON document in S3 by its URI, or raises ExpressionError.
        """
        self._definition = definition
        self._parameters = parameters
        self._variables = variables
        self._properties = properties
        self._read_json = read_json

    def parameter(self, name: str) -> Any:
        """Return a parameter's value."""
        return _find(self._parameters, name, f"Parameters.{name}")

    def execution(self, name: str) -> Any:
        """Return an execution variable."""
        if name == "CurrentDateTime":
            return timestamp(datetime.now(UTC).timestamp())
        return _find(self._variables, name, f"Execution.{name}")

    def step(self, name: str, tokens: Sequence[str | int]) -> Any:
        """Return a property of a step that has succeeded."""
        return lookup(_find(self._properties, name, f"Steps.{name}"), tokens, f"Steps.{name}")

    def property_file(self, step: str, name: str) -> Any:
        """Return a property file's content, read from where the step put that output."""
        declared = next(file for file in self._definition.steps[step].property_files if file.name == name)
        path = ("ProcessingOutputConfig", "Outputs", declared.output_name, "S3Output", "S3Uri")
        uri = str(self.step(step, path))
        return self._read_json(f"{uri.rstrip('/')}/{declared.path}")

    def document(self, s3_uri: str) -> Any:
        """Return a JSON document in S3."""
        return self._read_json(s3_uri)


def _find(values: Mapping[str, Any], name: str, where: str) -> Any:
    if name not in values:
        raise ExpressionError(f"{where}: it has no value (yet){suggest(name, values)}")
    return values[name]


class Execution:
    """One run of a pipeline. ``start`` returns at once, ``join`` waits for the end."""

    def __init__(
        self,
        definition: Definition,
        parameters: dict[str, Scalar],
        record: ExecutionRecord,
        world: World,
        journal: Journal,
        earlier: Callable[[], Iterable[ExecutionRecord]] = tuple,
        finished: Callable[[], None] = lambda: None,
        wait: Callable[[threading.Event, float], bool] = threading.Event.wait,
        changed: Callable[[ExecutionRecord], None] = lambda record: None,
    ) -> None:
        """Prepare a run.

        Args:
            definition: without problems.
            parameters: every parameter's value.
            record: of this execution, just created; this object changes it and nobody else does.
            world: where steps run.
            journal: keeps the record.
            earlier: returns the records of the same pipeline's other executions, for caching.
            finished: called at the end, before ``join`` returns.
            wait: (stop event, seconds) -> whether it was set; waits between attempts.
            changed: called with the record after each of its changes.
        """
        self._definition = definition
        self._parameters = parameters
        self._record = record
        self._world = world
        self._journal = journal
        self._earlier = earlier
        self._finished = finished
        self._wait = wait
        self._changed = changed
        self._lock = threading.RLock()
        self._stop = threading.Event()
        self._ended: queue.SimpleQueue[tuple[str, Outcome | None]] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=f"execution-{record.id}", daemon=True)

    @property
    def id(self) -> str:
        """Return the execution's id."""
        return self._record.id

    def record(self) -> None:
        """Put the first record on disk, before anything runs."""
        with self._changing():
            pass

    def start(self) -> None:
        """Begin to run."""
        self._thread.start()

    def join(self, timeout: float | None = None) -> bool:
        """Wait for the end; returns whether it has come."""
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def stop(self) -> None:
        """Ask the running steps to stop, and start no other."""
        with self._changing():
            if self._record.status != "Executing":
                return
            self._record.status = "Stopping"
            for step in self._record.steps.values():
                if step.status in UNFINISHED:
                    step.status = "Stopping"
        self._stop.set()

    def snapshot(self) -> ExecutionRecord:
        """Return a copy of the record as it is now."""
        with self._lock:
            return copy.deepcopy(self._record)

    @contextlib.contextmanager
    def _changing(self) -> Iterator[None]:
        with self._lock:
            yield
            self._journal.save(self._record)
            self._changed(self._record)

    # -- scheduling -------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            self._run_steps()
        except Exception:
            logger.exception("execution %s", self._record.id)
            with self._changing():
                self._record.status, self._record.failure_reason = "Failed", "the sandbox failed; see its log"
        self._finished()

    def _run_steps(self) -> None:
        schedule = Schedule(self._definition)
        running = 0
        failed = False
        while True:
            if not failed and not self._stop.is_set():
                limit = self._record.parallelism or len(self._definition.steps)
                for name in schedule.ready()[: limit - running]:
                    schedule.start(name)
                    self._begin(self._definition.steps[name])
                    running += 1
            if not running:
                break
            name, outcome = self._ended.get()
            running -= 1
            if outcome is None:
                schedule.end(name)
                failed = True
            else:
                schedule.succeed(name, outcome.branch)
        self._close()

    def _begin(self, step: Step) -> None:
        with self._changing():
            self._record.steps[step.name] = StepRecord(
                step.name, step.type, step.display_name, step.description, start=time.time()
            )
        threading.Thread(target=self._work, args=(step,), name=f"step-{step.name}", daemon=True).start()

    def _close(self) -> None:
        with self._changing():
            failed = [step for step in self._record.steps.values() if step.status == "Failed"]
            reasons = [f"Step '{step.name}' failed: {step.failure_reason}" for step in failed]
            self._record.failure_reason = "; ".join(reasons)[:MAX_EXECUTION_REASON]
            if self._stop.is_set():
                self._record.status = "Stopped"
            else:
                self._record.status = "Failed" if failed else "Succeeded"

    # -- one step ---------------------------------------------------------------------------------

    def _work(self, step: Step) -> None:
        outcome, status, reason, lines = None, "Failed", "", list[str]()
        try:
            outcome = self._attempts(step)
            status = "Succeeded"
        except StepStopped:
            status = "Stopped"
        except StepFailed as failure:
            reason, lines = failure.reason, failure.last_lines
        except ExpressionError as error:
            reason = str(error)
        except Exception as error:
            logger.exception("step %s", step.name)
            reason = f"the sandbox failed: {type(error).__name__}: {error}"
        with self._changing():
            record = self._record.steps[step.name]
            record.status, record.end = status, time.time()
            record.failure_reason, record.last_lines = reason[:MAX_STEP_REASON], lines
            if outcome is not None:
                record.properties = outcome.properties
        self._ended.put((step.name, outcome))

    def _attempts(self, step: Step) -> Outcome:
        began = time.monotonic()
        used: dict[RetryPolicy, int] = {}
        while True:
            try:
                return self._attempt(step)
            except StepFailed as failure:
                delay = policies.retry_delay(step.retries, failure.kind, used, time.monotonic() - began)
                if delay is None:
                    raise
                logger.info("step %s: %s; next attempt in %g s", step.name, failure.reason, delay)
            if self._wait(self._stop, delay):
                raise StepStopped

    def _attempt(self, step: Step) -> Outcome:
        name = self._job_name(step)
        scope = self._scope(step, name)

        def resolved(value: Any) -> Any:
            return resolve(value, scope)

        # A condition is resolved bit by bit: the second half of an Or may not have a value.
        arguments = dict(step.arguments) if step.type == "Condition" else resolved(step.arguments)
        if step.type in OPERATIONS:
            operation = OPERATIONS[step.type]
            if found := request_problems(operation, build(operation, arguments, name)):
                raise StepFailed("; ".join(found))
        key = policies.cache_key(step.type, {**arguments, "FunctionArn": resolved(step.function_arn)})
        if step.cache.enabled and (hit := self._cached(step, key)):
            return hit
        record = self._record.steps[step.name]
        with self._changing():
            if self._stop.is_set():
                raise StepStopped
            record.status, record.job = "Executing", name
            record.attempts += 1
        call = Call(
            step, arguments, name, resolved, self._world, self._stop, lambda data: self._report(step, data)
        )
        outcome = RUNNERS[step.type](call)
        if key:
            uris = policies.output_uris(outcome.properties)
            client = self._world.client("s3") if uris else None
            held = [uri for uri in uris if s3.any_objects(client, uri)]
            with self._lock:
                record.outputs, record.cache_key = held, key
        return outcome

    def _report(self, step: Step, metadata: dict[str, Any]) -> None:
        with self._changing():
            self._record.steps[step.name].metadata = metadata

    def _cached(self, step: Step, key: str) -> Outcome | None:
        client = self._world.client("s3")
        hit = policies.find_hit(
            self._earlier(),
            step.name,
            key,
            now=time.time(),
            expire_after=step.cache.expire_after,
            exists=lambda uri: s3.any_objects(client, uri),
        )
        if hit is None:
            return None
        source, earlier = hit
        record = self._record.steps[step.name]
        with self._changing():
            record.cache_source, record.cache_key = source.arn, key
            record.metadata, record.outputs, record.job = earlier.metadata, earlier.outputs, earlier.job
        return Outcome(earlier.properties)

    def _job_name(self, step: Step) -> str:
        operation = OPERATIONS.get(step.type)
        # With use_custom_job_prefix the definition itself holds the name's first part.
        prefix = step.arguments.get(operation.name_key) if operation and operation.name_key else None
        return job_name(self._record.id, step.name, prefix if isinstance(prefix, str) else "pipelines")

    def _scope(self, step: Step, name: str) -> RunScope:
        record = self._record
        variables = {
            "PipelineExecutionId": record.id,
            "PipelineExecutionArn": record.arn,
            "PipelineName": record.pipeline_name,
            "PipelineArn": record.pipeline_arn,
            "StartDateTime": timestamp(record.created),
        }
        variables |= {variable: name for variable, type_ in JOB_VARIABLES.items() if type_ == step.type}
        with self._lock:
            properties = {
                other.name: other.properties for other in record.steps.values() if other.status == "Succeeded"
            }
        return RunScope(
            self._definition,
            self._parameters,
            variables,
            properties,
            lambda uri: s3.read_json(self._world.client("s3"), uri),
        )
