"""Pipelines: create, get, update, delete, list.

moto 5.2.5 gives times as text, which Terraform's provider cannot read, trips over trust policies with
conditions or lists of principals, and checks nothing of a pipeline's structure. Tags are moto's.
"""

from __future__ import annotations

import copy
from typing import Any

from moto.codepipeline.models import CodePipeline
from moto.codepipeline.responses import CodePipelineResponse
from moto.core.responses import ActionResult, EmptyResult

from mlops_workbench.sandbox.access import AccessDenied, role_environment
from mlops_workbench.sandbox.aws.codepipeline.requests import Refusal, find_pipeline, page, params_of
from mlops_workbench.sandbox.delivery import pipelines, structure
from mlops_workbench.sandbox.delivery.executions import now, of_backend
from mlops_workbench.sandbox.delivery.roles import CODEPIPELINE
from mlops_workbench.sandbox.delivery.structure_error import StructureError


def create_pipeline(self: CodePipelineResponse) -> ActionResult:
    """Make a pipeline and start it, as the service does."""
    params = params_of(self)
    declared, tags = params["pipeline"], params.get("tags") or []
    _check(self, declared)
    name = declared["name"]
    if name in self.codepipeline_backend.pipelines:
        raise Refusal("PipelineNameInUseException", f"A pipeline with the name '{name}' already exists")
    pipeline = CodePipeline(self.current_account, self.region, _complete(declared))
    pipeline.validate_tags(tags)
    pipeline.tags.update({tag["key"]: tag["value"] for tag in tags})
    self.codepipeline_backend.pipelines[name] = pipeline
    trigger = {"triggerType": "CreatePipeline", "triggerDetail": ""}
    answer = copy.deepcopy(pipeline.pipeline)
    pipelines.start_execution(self.current_account, self.region, name, trigger)
    return ActionResult({"pipeline": answer, "tags": tags})


def get_pipeline(self: CodePipelineResponse) -> ActionResult:
    """Return a pipeline's structure and times."""
    params = params_of(self)
    pipeline = find_pipeline(self, params["name"])
    if params.get("version") not in (None, pipeline.pipeline["version"]):
        raise Refusal(
            "PipelineVersionNotFoundException",
            f"the sandbox keeps version {pipeline.pipeline['version']} of {params['name']} only",
        )
    metadata = {"pipelineArn": pipeline._arn, "created": pipeline._created, "updated": pipeline._updated}
    return ActionResult({"pipeline": pipeline.pipeline, "metadata": metadata})


def update_pipeline(self: CodePipelineResponse) -> ActionResult:
    """Replace a pipeline's structure; executions that run keep theirs."""
    declared = params_of(self)["pipeline"]
    _check(self, declared)
    pipeline = find_pipeline(self, declared["name"])
    version = pipeline.pipeline["version"] + 1
    pipeline.pipeline = {**_complete(declared), "version": version}
    pipeline._updated = now().replace(tzinfo=None)
    return ActionResult({"pipeline": pipeline.pipeline})


def delete_pipeline(self: CodePipelineResponse) -> EmptyResult:
    """Remove a pipeline and its executions; one that is not there is no error, as in AWS."""
    name = params_of(self)["name"]
    backend = self.codepipeline_backend
    for execution in of_backend(backend).get(name, []):
        pipelines.stop(execution, abandon=True, reason="the pipeline was deleted")
    backend.pipelines.pop(name, None)
    of_backend(backend).pop(name, None)
    return EmptyResult()


def list_pipelines(self: CodePipelineResponse) -> ActionResult:
    """List pipelines by name."""
    entries = [
        {
            "name": name,
            "version": pipeline.pipeline["version"],
            "pipelineType": pipeline.pipeline["pipelineType"],
            "executionMode": pipeline.pipeline["executionMode"],
            "created": pipeline._created,
            "updated": pipeline._updated,
        }
        for name, pipeline in sorted(self.codepipeline_backend.pipelines.items())
    ]
    chosen, token = page(entries, params_of(self), limit=1000)
    return ActionResult({"pipelines": chosen, "nextToken": token})


def _check(response: CodePipelineResponse, declared: dict[str, Any]) -> None:
    try:
        structure.check(declared)
    except StructureError as error:
        raise Refusal(error.code, str(error)) from None
    role = declared["roleArn"]
    arn = f"arn:aws:codepipeline:{response.region}:{response.current_account}:{declared['name']}"
    try:
        role_environment(role, CODEPIPELINE, response.region, declared["name"], source_arn=arn)
    except AccessDenied as error:
        raise Refusal(
            "InvalidStructureException",
            f"CodePipeline is not authorized to perform AssumeRole on role {role}: {error}",
        ) from None


def _complete(declared: dict[str, Any]) -> dict[str, Any]:
    """Return a structure with the service's defaults."""
    pipeline = copy.deepcopy(declared)
    pipeline.setdefault("pipelineType", "V1")
    pipeline.setdefault("executionMode", "SUPERSEDED")
    for stage in pipeline["stages"]:
        for action in stage["actions"]:
            for key, default in (
                ("runOrder", 1),
                ("configuration", {}),
                ("inputArtifacts", []),
                ("outputArtifacts", []),
            ):
                if action.get(key) is None:
                    action[key] = default
    return pipeline


CALLS = (create_pipeline, get_pipeline, update_pipeline, delete_pipeline, list_pipelines)
