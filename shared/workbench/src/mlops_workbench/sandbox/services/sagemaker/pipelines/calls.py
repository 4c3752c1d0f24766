"""Pipelines, whose definition is checked when it is created or changed, and executions, which really run.

moto 5.2.5 keeps pipelines, but takes any text for a definition, parses one that is in S3 into something
that is no text, and answers ValidationException where the service says ResourceNotFound. It calls every
execution Succeeded at once, has no steps, no stop and no pages; what is known of executions here comes
from the journal.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from moto.core.responses import ActionResult
from moto.sagemaker.exceptions import ResourceNotFound, ValidationError
from moto.sagemaker.models import FakePipeline, sagemaker_backends
from moto.sagemaker.responses import SageMakerResponse

from mlops_workbench.sandbox import clients
from mlops_workbench.sandbox.errors import AccessDenied, JobFailed
from mlops_workbench.sandbox.iam import acting
from mlops_workbench.sandbox.services.sagemaker.pipelines import running
from mlops_workbench.sandbox.services.sagemaker.pipelines.definition import parse
from mlops_workbench.sandbox.services.sagemaker.pipelines.journal import ExecutionRecord, StepRecord
from mlops_workbench.sandbox.services.sagemaker.pipelines.model import DefinitionError
from mlops_workbench.sandbox.services.sagemaker.pipelines.running import Executions
from mlops_workbench.sandbox.services.sagemaker.pipelines.s3 import read_text
from mlops_workbench.sandbox.services.sagemaker.pipelines.steps import World
from mlops_workbench.sandbox.services.sagemaker.records import page
from mlops_workbench.sandbox.session import Session, current

_create = SageMakerResponse.create_pipeline
_update = SageMakerResponse.update_pipeline
_delete = SageMakerResponse.delete_pipeline
#: MaxResults when not given, [read] in the API reference of the pipelines' List* calls.
PAGE = 10


def create_pipeline(self: SageMakerResponse) -> ActionResult:
    """Keep a definition, if it can be read."""
    _read_definition(self)
    return _create(self)


def update_pipeline(self: SageMakerResponse) -> ActionResult:
    """Replace what is given."""
    pipeline = find_pipeline(self)
    self.params["PipelineName"] = pipeline.pipeline_name
    if self.params.get("PipelineDefinition") or self.params.get("PipelineDefinitionS3Location"):
        _read_definition(self)
    answer = _update(self)
    pipeline.last_modified_time = datetime.now(UTC)
    return answer


def delete_pipeline(self: SageMakerResponse) -> ActionResult:
    """Forget a pipeline; its executions stay in the journal."""
    self.params["PipelineName"] = find_pipeline(self).pipeline_name
    return _delete(self)


def describe_pipeline(self: SageMakerResponse) -> ActionResult:
    """Describe a pipeline, by name or ARN."""
    name = find_pipeline(self).pipeline_name
    answer = self.sagemaker_backend.describe_pipeline(name)
    if runs := executions().of_pipeline(answer["PipelineArn"]):
        answer["LastRunTime"] = time_of(runs[-1].created)
    return ActionResult(known(answer))


def list_pipelines(self: SageMakerResponse) -> ActionResult:
    """List pipelines, the newest first unless asked otherwise."""
    prefix = self.params.get("PipelineNamePrefix") or ""
    items = []
    for pipeline in self.sagemaker_backend.pipelines.values():
        if pipeline.pipeline_name.startswith(prefix):
            runs = executions().of_pipeline(pipeline.arn)
            items.append(
                known(
                    {
                        "PipelineArn": pipeline.arn,
                        "PipelineName": pipeline.pipeline_name,
                        "PipelineDisplayName": pipeline.pipeline_display_name,
                        "PipelineDescription": pipeline.pipeline_description,
                        "RoleArn": pipeline.role_arn,
                        "CreationTime": pipeline.creation_time,
                        "LastModifiedTime": pipeline.last_modified_time,
                        "LastExecutionTime": time_of(runs[-1].created) if runs else None,
                    }
                )
            )
    chosen, token = page(items, with_times(self.params), name="PipelineName", order="Descending", limit=PAGE)
    return ActionResult({"PipelineSummaries": chosen, "NextToken": token})


def _read_definition(response: SageMakerResponse) -> None:
    """Check a request's definition; one in S3 becomes inline, as moto would keep it parsed.

    Raises:
        ValidationError: with every problem of the definition.
    """
    place = response.params.get("PipelineDefinitionS3Location")
    if place and not response.params.get("PipelineDefinition"):
        client = current().client("s3", response.current_account, response.region)
        try:
            text = read_text(client, place["Bucket"], place["ObjectKey"], place.get("VersionId"))
        except ValueError as error:
            raise ValidationError(f"PipelineDefinitionS3Location: {error}") from None
        response.params["PipelineDefinition"] = text
        del response.params["PipelineDefinitionS3Location"]
    if text := response.params.get("PipelineDefinition"):
        try:
            parse(text)
        except DefinitionError as error:
            raise ValidationError(f"Unable to parse pipeline definition. {one_line(error)}") from None


_CALLS = (create_pipeline, update_pipeline, delete_pipeline, describe_pipeline, list_pipelines)


def install() -> None:
    """Replace moto's calls and add the missing ones."""
    for call in (*_CALLS, *CALLS):
        setattr(SageMakerResponse, call.__name__, call)


def executions() -> Executions:
    """Return the executions of the sandbox that this process has open."""
    return current().part(_executions)


def _executions() -> Executions:
    sandbox = current()
    return Executions(
        sandbox.folder / "executions",
        lambda record: _world(sandbox, record),
        finished=sandbox.save_soon,
        changed=running.Notices().saw,
    )


def _world(sandbox: Session, record: ExecutionRecord) -> World:
    """Return where an execution's steps run: as the pipeline's role, where roles are enforced."""
    region, account = record.pipeline_arn.split(":")[3:5]
    role = sagemaker_backends[account][region].pipelines[record.pipeline_name].role_arn
    known: dict[str, str] = {}

    def make_client(service: str) -> Any:
        # At the first use and not here: a role that cannot be had fails the step, not the start.
        known.update(known or acting.environment(account, region, role, record.id, record.pipeline_arn))
        return clients.from_environment(service, known)

    def job_environment(request: Mapping[str, Any], arn: str) -> Mapping[str, str]:
        try:
            return acting.job_environment(account, region, request, arn)
        except AccessDenied as denied:
            raise JobFailed(f"ClientError: {denied}") from None

    def refusal(call: str, arn: str, request: Mapping[str, Any]) -> str:
        try:
            acting.check_start(role, record.id, call, arn, request)
        except AccessDenied as denied:
            return str(denied)
        return ""

    return World(
        account, region, sandbox.folder / "jobs", sandbox.images, make_client, job_environment, refusal
    )


def close(sandbox: Session) -> None:
    """Stop the executions of a sandbox and wait for their ends; called before its server stops."""
    if opened := sandbox.made(_executions):
        opened.close()


def find_pipeline(response: SageMakerResponse) -> FakePipeline:
    """Return the pipeline that a request names, by name or ARN.

    Raises:
        ResourceNotFound: there is none.
    """
    name = response.params["PipelineName"].rsplit("/", 1)[-1]
    pipeline = response.sagemaker_backend.pipelines.get(name)
    if pipeline is None:
        raise ResourceNotFound(f"Pipeline '{name}' does not exist.")
    return pipeline


def start_pipeline_execution(self: SageMakerResponse) -> ActionResult:
    """Check the definition with the parameters given, and run it in threads."""
    pipeline = find_pipeline(self)
    params = self.params
    if params.get("SelectiveExecutionConfig"):
        raise ValidationError("SelectiveExecutionConfig: the sandbox runs whole pipelines only")
    parallelism = params.get("ParallelismConfiguration") or pipeline.parallelism_configuration or {}
    try:
        record = executions().start(
            pipeline.arn,
            pipeline.pipeline_definition,
            [(entry["Name"], entry["Value"]) for entry in params.get("PipelineParameters") or []],
            display_name=params.get("PipelineExecutionDisplayName") or "",
            description=params.get("PipelineExecutionDescription") or "",
            parallelism=parallelism.get("MaxParallelExecutionSteps"),
            token=params.get("ClientRequestToken") or "",
        )
    except DefinitionError as error:
        raise ValidationError(one_line(error)) from None
    return ActionResult({"PipelineExecutionArn": record.arn})


def stop_pipeline_execution(self: SageMakerResponse) -> ActionResult:
    """Ask an execution to stop; answers before it has."""
    record = _execution(self)
    if record.status not in ("Executing", "Stopping"):
        raise ValidationError(f"Pipeline execution with ARN {record.arn} is {record.status}.")
    executions().stop(record.arn)
    return ActionResult({"PipelineExecutionArn": record.arn})


def describe_pipeline_execution(self: SageMakerResponse) -> ActionResult:
    """Describe an execution."""
    record = _execution(self)
    parallelism = {"MaxParallelExecutionSteps": record.parallelism} if record.parallelism else None
    answer = {
        "PipelineArn": record.pipeline_arn,
        "PipelineExecutionArn": record.arn,
        "PipelineExecutionDisplayName": record.display_name,
        "PipelineExecutionStatus": record.status,
        "PipelineExecutionDescription": record.description or None,
        "FailureReason": record.failure_reason or None,
        "CreationTime": time_of(record.created),
        "LastModifiedTime": time_of(record.modified),
        "ParallelismConfiguration": parallelism,
    }
    return ActionResult(known(answer))


def list_pipeline_execution_steps(self: SageMakerResponse) -> ActionResult:
    """List the steps that have begun, the last one first unless asked otherwise."""
    steps = sorted(_execution(self).steps.values(), key=lambda step: step.start)
    entries = [_step(step) for step in steps]
    params = {**self.params, "SortBy": "StartTime"}
    chosen, token = page(entries, params, name="StepName", order="Descending", limit=PAGE)
    return ActionResult({"PipelineExecutionSteps": chosen, "NextToken": token})


def list_pipeline_executions(self: SageMakerResponse) -> ActionResult:
    """List a pipeline's executions, the newest first unless asked otherwise."""
    entries = [
        known(
            {
                "PipelineExecutionArn": record.arn,
                "StartTime": time_of(record.created),
                "CreationTime": time_of(record.created),
                "PipelineExecutionStatus": record.status,
                "PipelineExecutionDescription": record.description or None,
                "PipelineExecutionDisplayName": record.display_name,
                "PipelineExecutionFailureReason": record.failure_reason or None,
            }
        )
        for record in executions().of_pipeline(find_pipeline(self).arn)
    ]
    params = with_times(self.params)
    chosen, token = page(entries, params, name="PipelineExecutionArn", order="Descending", limit=PAGE)
    summaries = [{key: value for key, value in entry.items() if key != "CreationTime"} for entry in chosen]
    return ActionResult({"PipelineExecutionSummaries": summaries, "NextToken": token})


def describe_pipeline_definition_for_execution(self: SageMakerResponse) -> ActionResult:
    """Return the definition as it was when the execution started."""
    record = _execution(self)
    return ActionResult({"PipelineDefinition": record.definition, "CreationTime": time_of(record.created)})


def list_pipeline_parameters_for_execution(self: SageMakerResponse) -> ActionResult:
    """List the parameters that were given; those left at their defaults are not among them."""
    entries = [{**entry, "CreationTime": index} for index, entry in enumerate(_execution(self).parameters)]
    chosen, token = page(entries, self.params, name="Name", limit=PAGE)
    pairs = [{"Name": entry["Name"], "Value": entry["Value"]} for entry in chosen]
    return ActionResult({"PipelineParameters": pairs, "NextToken": token})


def _execution(response: SageMakerResponse) -> ExecutionRecord:
    arn = response.params["PipelineExecutionArn"]
    # arn:aws:sagemaker:REGION:ACCOUNT:pipeline/NAME/execution/ID; another account's is not there for us.
    owner = re.fullmatch(r"arn:[^:]+:sagemaker:([^:]+):(\d{12}):pipeline/.+/execution/.+", arn)
    record = None
    if owner and owner.groups() == (response.region, response.current_account):
        record = executions().find(arn)
    if record is None:
        raise ResourceNotFound(f"Pipeline execution '{arn}' does not exist.")
    return record


def _step(step: StepRecord) -> dict[str, Any]:
    source = {"SourcePipelineExecutionArn": step.cache_source} if step.cache_source else None
    return known(
        {
            "StepName": step.name,
            "StepDisplayName": step.display_name or None,
            "StepDescription": step.description or None,
            "StartTime": time_of(step.start),
            "EndTime": time_of(step.end) if step.end is not None else None,
            "StepStatus": step.status,
            "CacheHitResult": source,
            "FailureReason": step.failure_reason or None,
            "Metadata": step.metadata or None,
            "AttemptCount": step.attempts,
        }
    )


CALLS = (
    start_pipeline_execution,
    stop_pipeline_execution,
    describe_pipeline_execution,
    list_pipeline_execution_steps,
    list_pipeline_executions,
    describe_pipeline_definition_for_execution,
    list_pipeline_parameters_for_execution,
)


def time_of(seconds: float) -> datetime:
    """Return a time as answers carry it."""
    return datetime.fromtimestamp(seconds, UTC)


def known(answer: dict[str, Any]) -> dict[str, Any]:
    """Return an answer without the members that have no value."""
    return {key: value for key, value in answer.items() if value is not None}


def with_times(params: dict[str, Any]) -> dict[str, Any]:
    """Return a request with CreatedAfter and CreatedBefore under the names that ``records.page`` reads."""
    names = {"CreatedAfter": "CreationTimeAfter", "CreatedBefore": "CreationTimeBefore"}
    return {names.get(key, key): value for key, value in params.items()}


def one_line(error: DefinitionError) -> str:
    """Return every problem of a definition in one line, as an error message has no others."""
    return " | ".join(map(str, error.problems))
