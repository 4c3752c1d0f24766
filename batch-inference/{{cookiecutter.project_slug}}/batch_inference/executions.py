"""Executions of an environment's pipeline: which one an upload has started, and how far it is.

`follow` says what becomes of uploads, one line for each change, until all have ended.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from botocore.exceptions import ClientError

from configuration import UserError
from release.aws import code, plain_errors

from .config import Settings
from .objects import Uploaded

UNDER_WAY = frozenset({"Executing", "Stopping"})
SUCCEEDED = "Succeeded"
CLOCKS = timedelta(minutes=2)  # by which those of S3 and SageMaker may differ
Say = Callable[[str], None]
Wait = Callable[[float], None]
PATIENCE = 180.0  # seconds until an execution must have started; EventBridge takes a few
SHORTEST, LONGEST = 1.0, 5.0  # seconds between two looks: soon after a change, then less often
SILENCE = 30.0  # seconds without a change after which a step is said to run still


class Execution(NamedTuple):
    """An execution, as lists show it."""

    arn: str
    status: str
    started: datetime
    reason: str  # why it failed, or ""

    @property
    def id(self) -> str:
        """The name of its folder in the bucket."""
        return self.arn.rsplit("/", 1)[-1]


class Step(NamedTuple):
    """A step that has begun.

    Attributes:
        name: in the definition.
        title: for people.
        status: Executing, Succeeded, Failed, …
        started: None until it really runs.
        ended: None until it has.
        reason: why it failed, or "".
    """

    name: str
    title: str
    status: str
    started: datetime | None
    ended: datetime | None
    reason: str


class Executions:
    """The executions of one pipeline; what an execution was started with is asked for once."""

    def __init__(self, sagemaker: Any, pipeline: str) -> None:
        self._sagemaker, self._pipeline = sagemaker, pipeline
        self._parameters: dict[str, dict[str, str]] = {}

    def newest_first(self, since: datetime | None = None) -> Iterator[Execution]:
        """Page by page.

        Raises:
            UserError: there is no such pipeline, or these credentials may not look.
        """
        wanted = {"CreatedAfter": since} if since else {}
        pages = self._sagemaker.get_paginator("list_pipeline_executions").paginate(
            PipelineName=self._pipeline, SortBy="CreationTime", SortOrder="Descending", **wanted
        )
        with plain_errors(f"pipeline {self._pipeline}"):
            try:
                for page in pages:
                    for found in page["PipelineExecutionSummaries"]:
                        yield Execution(
                            found["PipelineExecutionArn"],
                            found["PipelineExecutionStatus"],
                            found["StartTime"],
                            found.get("PipelineExecutionFailureReason", ""),
                        )
            except ClientError as error:
                if code(error) == "ResourceNotFound":
                    raise UserError(
                        f"pipeline {self._pipeline}: it is not there; a push deploys it (make pipeline)"
                    ) from None
                raise

    def parameters(self, execution: Execution) -> dict[str, str]:
        """What an execution was started with: Bucket, Key and Version."""
        if execution.arn not in self._parameters:
            pages = self._sagemaker.get_paginator("list_pipeline_parameters_for_execution").paginate(
                PipelineExecutionArn=execution.arn
            )
            with plain_errors(f"execution {execution.id}"):
                self._parameters[execution.arn] = {
                    each["Name"]: each["Value"] for page in pages for each in page["PipelineParameters"]
                }
        return self._parameters[execution.arn]

    def started_by(self, uploads: Iterable[Uploaded]) -> dict[Uploaded, Execution]:
        """The execution of each upload that has one by now; the first, if there are several."""
        wanted = {(upload.key, upload.version_id): upload for upload in uploads}
        if not wanted:
            return {}
        found: dict[Uploaded, Execution] = {}
        since = min(upload.moment for upload in wanted.values()) - CLOCKS
        for execution in self.newest_first(since):
            given = self.parameters(execution)
            upload = wanted.get((given.get("Key", ""), given.get("Version", "")))
            if upload is not None:
                found[upload] = execution
        return found

    def now(self, execution: Execution) -> tuple[Execution, list[Step]]:
        """An execution as it is now, and its steps in the order in which they began."""
        with plain_errors(f"execution {execution.id}"):
            # The status first: when it is final, the steps that are read after it are final, too.
            told = self._sagemaker.describe_pipeline_execution(PipelineExecutionArn=execution.arn)
            pages = self._sagemaker.get_paginator("list_pipeline_execution_steps").paginate(
                PipelineExecutionArn=execution.arn, SortOrder="Ascending"
            )
            steps = [self._step(each) for page in pages for each in page["PipelineExecutionSteps"]]
        status, reason = told["PipelineExecutionStatus"], told.get("FailureReason", "")
        return execution._replace(status=status, reason=reason), steps

    def _step(self, found: dict[str, Any]) -> Step:
        reason = " ".join(found.get("FailureReason", "").split())
        if found["StepStatus"] == "Failed":
            reason = self._message(found.get("Metadata", {})) or reason
        return Step(
            found["StepName"],
            found.get("StepDisplayName") or found["StepName"],
            found["StepStatus"],
            found.get("StartTime"),
            found.get("EndTime"),
            reason,
        )

    def _message(self, metadata: dict[str, Any]) -> str:
        """What a processing script said at its end: SageMaker keeps it with the job, not with the step."""
        arn = metadata.get("ProcessingJob", {}).get("Arn")
        if not arn:
            return ""
        try:
            job = self._sagemaker.describe_processing_job(ProcessingJobName=arn.rsplit("/", 1)[-1])
        except ClientError:  # whoever may not describe jobs still sees the step's own reason
            return ""
        return " ".join(job.get("ExitMessage", "").split())


class Outcome(NamedTuple):
    """How it ended with an upload.

    Attributes:
        upload: the upload.
        execution: what it started; None if nothing has started.
        problem: why there are no answers; "" if there are.
    """

    upload: Uploaded
    execution: Execution | None
    problem: str


class Follower:
    """Follows one upload.

    Args:
        upload: what is followed.
        name: what its lines begin with; "" when it is the only one.
        say: where lines go.
    """

    def __init__(self, upload: Uploaded, name: str, say: Say) -> None:
        self.upload = upload
        self.execution: Execution | None = None
        self.outcome: Outcome | None = None
        self._prefix = f"{name}  " if name else ""
        self._say = say
        self._said: dict[str, str] = {}
        self._quiet_since = 0.0

    def found(self, execution: Execution, elapsed: float) -> None:
        """It has started."""
        self.execution = execution
        self._line(elapsed, f"execution {execution.id} has started")

    def saw(self, execution: Execution, steps: Sequence[Step], elapsed: float) -> None:
        """Says what has changed since the last time; ends when the execution has."""
        for step in steps:
            if self._said.get(step.name) == step.status or step.status == "Starting":
                continue
            if step.name not in self._said and step.ended is None:
                self._line(elapsed, f"{step.title} …")
            elif step.ended is not None:
                self._line(elapsed, _ended(step))
            self._said[step.name] = step.status
        running = [(step.title, step.started) for step in steps if step.ended is None and step.started]
        if running and elapsed - self._quiet_since >= SILENCE:
            title, started = running[-1]
            took = (datetime.now(UTC) - started).total_seconds()
            self._line(elapsed, f"{title} … for {duration(took)} so far")
        if execution.status not in UNDER_WAY:
            problem = "" if execution.status == SUCCEEDED else _problem(execution, steps)
            self.outcome = Outcome(self.upload, execution, problem)

    def gave_up(self, advice: str) -> None:
        """Nothing has started."""
        self.outcome = Outcome(self.upload, None, advice)

    def _line(self, elapsed: float, words: str) -> None:
        self._quiet_since = elapsed
        self._say(f"  {_clock(elapsed):>6}  {self._prefix}{words}")


def follow(
    executions: Executions,
    uploads: Sequence[tuple[Uploaded, str]],
    advice: str,
    say: Say,
    wait: Wait = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> list[Outcome]:
    """Follows uploads until each has ended, or has not started for `PATIENCE` seconds.

    Args:
        executions: of the pipeline.
        uploads: with the names that their lines begin with.
        advice: where to look when nothing starts.
        say: where lines go.
        wait: between two looks, some seconds.
        clock: seconds.

    Raises:
        UserError: AWS does not answer, or not to these credentials.
    """
    begin, pause, said = clock(), SHORTEST, 0

    def counting(line: str) -> None:
        nonlocal said
        said += 1
        say(line)

    followers = [Follower(upload, name, counting) for upload, name in uploads]
    while True:
        before = said
        waiting = [each for each in followers if each.execution is None and each.outcome is None]
        started = executions.started_by(each.upload for each in waiting)
        for each in waiting:
            if each.upload in started:
                each.found(started[each.upload], clock() - begin)
            elif clock() - begin > PATIENCE:
                each.gave_up(advice)
        for each in followers:
            if each.execution is not None and each.outcome is None:
                execution, steps = executions.now(each.execution)
                each.saw(execution, steps, clock() - begin)
        outcomes = [each.outcome for each in followers if each.outcome is not None]
        if len(outcomes) == len(followers):
            return outcomes
        pause = SHORTEST if said > before else min(pause * 1.5, LONGEST)
        wait(pause)


def where_to_look(settings: Settings, environment: str) -> str:
    """What to do when an upload has started nothing."""
    slug = settings.project.slug
    return (
        f"nothing has started for {PATIENCE / 60:.0f} minutes. Look at the EventBridge rule "
        f"{slug}-input-{environment} (is it enabled, does it see the file?), and at the queue "
        f"{slug}-undelivered-{environment}, which holds what the rule could not deliver"
    )


def duration(seconds: float) -> str:
    """A time as people say it: `8 s`, `3 min 05 s`, `2 h 04 min`."""
    minutes, rest = divmod(round(max(0.0, seconds)), 60)
    hours, minutes_left = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes_left:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def _ended(step: Step) -> str:
    took = (step.ended - step.started).total_seconds() if step.ended and step.started else 0.0
    words = "done" if step.status == SUCCEEDED else step.status.lower()
    return f"{step.title}: {words} in {duration(took)}"


def _problem(execution: Execution, steps: Sequence[Step]) -> str:
    failed = [
        f"step {step.name} failed: {step.reason or 'no reason given'}"
        for step in steps
        if step.status == "Failed"
    ]
    return "; ".join(failed) or f"execution {execution.id} {execution.status.lower()}: {execution.reason}"


def _clock(elapsed: float) -> str:
    minutes, seconds = divmod(int(elapsed), 60)
    return f"{minutes}:{seconds:02d}"
