"""Pipelines: a definition is checked when it is created or changed. Executions: ``pipeline_executions``.

moto 5.2.5 keeps pipelines, but takes any text for a definition, parses one that is in S3 into something that
is no text, and answers ValidationException where the service says ResourceNotFound.
"""

from __future__ import annotations

from datetime import UTC, datetime

from moto.core.responses import ActionResult
from moto.sagemaker.exceptions import ValidationError
from moto.sagemaker.responses import SageMakerResponse

from mlops_workbench.sandbox.aws.sagemaker import pipeline_executions
from mlops_workbench.sandbox.aws.sagemaker.listing import page
from mlops_workbench.sandbox.aws.sagemaker.pipeline_answers import PAGE, known, one_line, time_of, with_times
from mlops_workbench.sandbox.aws.sagemaker.pipeline_executions import executions, find_pipeline
from mlops_workbench.sandbox.pipelines import DefinitionError
from mlops_workbench.sandbox.pipelines.definition import parse
from mlops_workbench.sandbox.pipelines.s3 import read_text
from mlops_workbench.sandbox.session import current

_create = SageMakerResponse.create_pipeline
_update = SageMakerResponse.update_pipeline
_delete = SageMakerResponse.delete_pipeline


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
    for call in (*_CALLS, *pipeline_executions.CALLS):
        setattr(SageMakerResponse, call.__name__, call)
