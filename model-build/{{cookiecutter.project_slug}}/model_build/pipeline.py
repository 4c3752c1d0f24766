"""The pipeline on a SageMaker endpoint, AWS's or the sandbox's: its key; create or update, start, list."""

import hashlib
from collections.abc import Callable
from typing import Any

from configuration.errors import UserError

from . import assets
from .aws_errors import explained
from .config import ProjectConfig
from .definition import Build

Say = Callable[[str], None]
INLINE_LIMIT = 1_048_576  # characters of a definition that CreatePipeline takes inline


def key_arn(project: ProjectConfig, kms: Any) -> str | None:
    """The key for volumes and outputs: the configured one, else that of terraform/delivery, else none.

    Without a key of one's own, another account can be let into the bucket but cannot decrypt the models.

    Raises:
        UserError: the service does not say, for example for want of permission.
    """
    if project.kms_key_arn:
        return project.kms_key_arn
    with explained(f"KMS key {project.key_alias}"):
        try:
            return str(kms.describe_key(KeyId=project.key_alias)["KeyMetadata"]["Arn"])
        except kms.exceptions.NotFoundException:
            return None


def publish(build: Build, project: ProjectConfig, s3: Any, sagemaker: Any, say: Say) -> str:
    """Upload what the definition refers to, then create or update the pipeline.

    Returns:
        The pipeline's ARN.

    Raises:
        UserError: the service refused; the message says what and why.
    """
    if len(build.definition) > INLINE_LIMIT:
        raise UserError(f"the definition has {len(build.definition)} characters, more than {INLINE_LIMIT}")
    assets.upload(build.uploads, s3, project.kms_key_arn, say)
    request = {
        "PipelineName": project.pipeline_name,
        "PipelineDefinition": build.definition,
        "PipelineDescription": f"{project.name}: train, evaluate and register",
        "RoleArn": project.role_arn,
    }
    tags = [{"Key": key, "Value": value} for key, value in {"project": project.slug, **project.tags}.items()]
    # A token made of the content: repeating the call after a lost answer does not create a second pipeline.
    token = hashlib.sha256(build.definition.encode()).hexdigest()
    with explained(f"pipeline {project.pipeline_name}"):
        try:
            sagemaker.describe_pipeline(PipelineName=project.pipeline_name)
        except sagemaker.exceptions.ResourceNotFound:
            answer = sagemaker.create_pipeline(**request, ClientRequestToken=token, Tags=tags)
        else:
            answer = sagemaker.update_pipeline(**request)
    return str(answer["PipelineArn"])


def start(project: ProjectConfig, sagemaker: Any, parameters: dict[str, str]) -> str:
    """Start an execution; returns its ARN."""
    values = [{"Name": name, "Value": value} for name, value in parameters.items()]
    with explained(f"pipeline {project.pipeline_name}"):
        answer = sagemaker.start_pipeline_execution(
            PipelineName=project.pipeline_name, PipelineParameters=values
        )
    return str(answer["PipelineExecutionArn"])


def executions(project: ProjectConfig, sagemaker: Any, most: int) -> list[dict[str, Any]]:
    """The latest executions, newest first."""
    with explained(f"pipeline {project.pipeline_name}"):
        try:
            answer = sagemaker.list_pipeline_executions(
                PipelineName=project.pipeline_name,
                SortBy="CreationTime",
                SortOrder="Descending",
                MaxResults=most,
            )
        except sagemaker.exceptions.ResourceNotFound:
            return []
    return list(answer["PipelineExecutionSummaries"])
