"""Executions of an environment's pipeline: which one an upload has started, and how far it is."""

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from botocore.exceptions import ClientError

from configuration.errors import UserError
from release.aws import code, plain_errors

from .objects import Uploaded

UNDER_WAY = frozenset({"Executing", "Stopping"})
SUCCEEDED = "Succeeded"
CLOCKS = timedelta(minutes=2)  # by which those of S3 and SageMaker may differ


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
